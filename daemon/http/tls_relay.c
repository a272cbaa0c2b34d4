#include "daemon/http/tls_relay.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/http/http_conn.h"
#include "daemon/http/tls_impl.h"

#define RECORD 16384 /* the most a record holds */
#define ROUNDS 16    /* records each way a turn */
#define LINGER_MS 2000

struct tls_relay {
    struct tls_relay *prev, *next;
    struct http_server *server;
    struct http_door *door; /* while it shakes hands */
    gnutls_session_t session;
    int fd;    /* the client's */
    int inner; /* ours of the pair; -1 while it shakes hands */
    uv_poll_t poll, inner_poll;
    int events, inner_events; /* asked for */
    unsigned handles;
    bool open;     /* hands are shaken */
    bool in_ended; /* the client ended its side, in order */
    bool deaf;     /* the protocol takes nothing any more */
    bool out_ended; /* the protocol ended its side */
    bool flushing; /* a record is not wholly sent */
    bool bye_sent;
    bool dead;
    bool closing;
    uint8_t *up; /* from the client, not taken by the protocol; RECORD bytes, or NULL */
    size_t up_at, up_len;
    uint64_t stamp_ms; /* of the beginning, then of the protocol's end, then of ours */
};

static void on_ready(uv_poll_t *poll, int status, int events);

/* --- the end ---------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct tls_relay *r = handle->data;
    struct http_server *server = r->server;
    if (--r->handles == 0) {
        close(r->fd);
        if (r->inner >= 0)
            close(r->inner);
        gnutls_deinit(r->session);
        free(r->up);
        free(r);
    }
    server_handle_closed(server);
}

static void leave_handshake(struct tls_relay *r)
{
    if (!r->door)
        return;
    r->door->connections--;
    r->door = NULL;
    r->server->relays.handshaking--;
}

static void end(struct tls_relay *r)
{
    struct tls_relays *relays = &r->server->relays;
    if (r->closing)
        return;
    r->closing = true;
    leave_handshake(r);
    *(r->prev ? &r->prev->next : &relays->all) = r->next;
    if (r->next)
        r->next->prev = r->prev;
    relays->count--;
    relays->sending -= !r->bye_sent;
    shutdown(r->fd, SHUT_RDWR);
    uv_close((uv_handle_t *)&r->poll, on_closed);
    if (r->inner < 0)
        return;
    shutdown(r->inner, SHUT_RDWR); /* the connection learns of it now, not when the handle is closed */
    uv_close((uv_handle_t *)&r->inner_poll, on_closed);
}

/* --- shaking hands ----------------------------------------------------------------------------------- */

/* What the client says now is for the protocols. */
static int open_inner(struct tls_relay *r)
{
    int pair[2];
    struct http_peer peer;
    struct http_door *door = r->door;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    bool known = http_peer_of(r->fd, &peer);
    int rc = uv_poll_init(r->server->loop, &r->inner_poll, pair[0]);
    if (rc < 0) {
        close(pair[0]);
        close(pair[1]);
        return rc;
    }
    r->inner = pair[0];
    r->inner_poll.data = r;
    r->handles++;
    r->server->open_handles++;
    leave_handshake(r);
    return waiting_begin(r->server, pair[1], door, known ? &peer : NULL);
}

static void shake_hands(struct tls_relay *r)
{
    int rc = gnutls_handshake(r->session);
    if (rc == GNUTLS_E_SUCCESS) {
        r->open = true;
        r->dead = open_inner(r) < 0;
    } else if (gnutls_error_is_fatal(rc)) {
        gnutls_alert_send_appropriate(r->session, rc);
        r->dead = true;
    }
}

/* --- both ways --------------------------------------------------------------------------------------- */

/* Gives the protocol what it takes; the rest is kept. */
static void give_up(struct tls_relay *r, const uint8_t *bytes, size_t len)
{
    ssize_t n = r->deaf ? (ssize_t)len : send(r->inner, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        r->deaf = true;
        return;
    }
    size_t taken = n > 0 ? (size_t)n : 0;
    if (taken == len)
        return;
    if (!r->up && !(r->up = malloc(RECORD))) {
        r->dead = true;
        return;
    }
    memmove(r->up, bytes + taken, len - taken);
    r->up_len = len - taken;
    r->up_at = 0;
}

static bool give_rest(struct tls_relay *r)
{
    size_t len = r->up_len;
    if (len == 0)
        return true;
    r->up_len = 0;
    give_up(r, r->up + r->up_at, len);
    if (r->up_len > 0 || r->dead)
        return false;
    free(r->up);
    r->up = NULL;
    return true;
}

/* One record from the client to the protocol. True: there may be more. */
static bool move_up(struct tls_relay *r)
{
    uint8_t bytes[RECORD];
    if (!give_rest(r) || r->in_ended)
        return false;
    ssize_t n = gnutls_record_recv(r->session, bytes, sizeof(bytes));
    if (n > 0) {
        give_up(r, bytes, (size_t)n);
        return true;
    }
    if (n == 0) {
        r->in_ended = true;
        shutdown(r->inner, SHUT_WR);
        return false;
    }
    if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
        return false;
    r->dead = gnutls_error_is_fatal((int)n) || n == GNUTLS_E_REHANDSHAKE; /* nobody needs that one */
    return !r->dead;
}

static void say_bye(struct tls_relay *r)
{
    if (r->bye_sent || gnutls_bye(r->session, GNUTLS_SHUT_WR) == GNUTLS_E_AGAIN)
        return;
    r->bye_sent = true;
    r->server->relays.sending--;
    r->stamp_ms = uv_now(r->server->loop);
    shutdown(r->fd, SHUT_WR);
}

static void note_sent(struct tls_relay *r, ssize_t n)
{
    r->flushing = n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED;
    r->dead = r->dead || (n < 0 && !r->flushing);
}

/* One record from the protocol to the client. True: there may be more. */
static bool move_down(struct tls_relay *r)
{
    uint8_t bytes[RECORD];
    if (r->flushing)
        note_sent(r, gnutls_record_send(r->session, NULL, 0));
    if (r->flushing || r->dead)
        return false;
    if (r->out_ended) {
        say_bye(r);
        return false;
    }
    ssize_t n = recv(r->inner, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n > 0) {
        note_sent(r, gnutls_record_send(r->session, bytes, (size_t)n));
        return !r->dead;
    }
    r->out_ended = true;
    r->stamp_ms = uv_now(r->server->loop);
    server_start_tick(r->server);
    return true;
}

/* --- a turn ------------------------------------------------------------------------------------------ */

static void ask(uv_poll_t *poll, int *asked, int events)
{
    if (*asked == events)
        return;
    *asked = events;
    if (events)
        uv_poll_start(poll, events, on_ready);
    else
        uv_poll_stop(poll);
}

static void ask_all(struct tls_relay *r)
{
    if (!r->open) {
        ask(&r->poll, &r->events, gnutls_record_get_direction(r->session) ? UV_WRITABLE : UV_READABLE);
        return;
    }
    bool wants_out = r->flushing || (r->out_ended && !r->bye_sent);
    ask(&r->poll, &r->events, (!r->in_ended && r->up_len == 0 ? UV_READABLE : 0) | (wants_out ? UV_WRITABLE : 0));
    ask(&r->inner_poll, &r->inner_events, (!r->out_ended && !r->flushing ? UV_READABLE : 0) | (r->up_len > 0 ? UV_WRITABLE : 0));
}

static void run(struct tls_relay *r)
{
    bool more = true;
    if (!r->open)
        shake_hands(r);
    for (int round = 0; more && r->open && !r->dead && (round < ROUNDS || gnutls_record_check_pending(r->session) > 0); round++) {
        bool down = move_down(r);
        more = (!r->dead && move_up(r)) || down;
    }
    if (r->dead || (r->bye_sent && r->in_ended))
        end(r);
    else
        ask_all(r);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct tls_relay *r = poll->data;
    (void)status, (void)events;
    run(r);
}

/* --- the server's --------------------------------------------------------------------------------------- */

static void enter(struct tls_relay *r)
{
    struct tls_relays *relays = &r->server->relays;
    r->next = relays->all;
    if (relays->all)
        relays->all->prev = r;
    relays->all = r;
    relays->count++;
    relays->handshaking++;
    relays->sending++;
    r->door->connections++;
    r->handles = 1;
    r->server->open_handles++;
    r->stamp_ms = uv_now(r->server->loop);
    r->poll.data = r;
    server_start_tick(r->server);
}

int relay_begin(struct http_server *server, int fd, struct http_door *door)
{
    struct tls_relay *r = calloc(1, sizeof(*r));
    int rc = r && tls_session(door->tls, &r->session) == GNUTLS_E_SUCCESS ? 0 : -ENOMEM;
    if (rc == 0 && (rc = uv_poll_init(server->loop, &r->poll, fd)) < 0)
        gnutls_deinit(r->session);
    if (rc < 0) {
        free(r);
        close(fd);
        return rc;
    }
    r->server = server;
    r->door = door;
    r->fd = fd;
    r->inner = -1;
    gnutls_transport_set_int(r->session, fd);
    enter(r);
    ask_all(r);
    return 0;
}

bool relay_tick(struct http_server *server, uint64_t now_ms)
{
    struct tls_relay *next;
    bool timed = false;
    for (struct tls_relay *r = server->relays.all; r; r = next) {
        next = r->next;
        uint64_t span = r->bye_sent ? LINGER_MS : server->idle.span_ms;
        if (r->open && !r->out_ended)
            continue; /* the protocol's clock runs */
        if (r->stamp_ms + span <= now_ms)
            end(r);
        else
            timed = true;
    }
    return timed;
}

void relay_cut(struct http_server *server, const struct http_door *door)
{
    struct tls_relay *next;
    for (struct tls_relay *r = server->relays.all; r; r = next) {
        next = r->next;
        if (r->door && (!door || r->door == door))
            end(r);
    }
}

void relay_end_all(struct http_server *server)
{
    while (server->relays.all)
        end(server->relays.all);
}
