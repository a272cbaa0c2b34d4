#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "base/tls/tls_client.h"
#include "bridge/io/redis_dial.h"

#define CONNECT_MS 3000
#define REPLY_MS 5000
#define READ_SIZE ((size_t)64 * 1024)
#define KEPT_MAX ((size_t)4 * 1024 * 1024) /* memory that an idle command buffer keeps */

struct redis_conn {
    int fd;
    struct tls_client *tls;
    redisReader *reader;
    struct buf out; /**< commands; those up to `sent` have gone */
    size_t sent;
    struct redis_options o;
    bool cut; /**< nothing more will come */
    uint64_t bytes_in;
    char name[280];
    char in[READ_SIZE];
};

/* --- waiting ---------------------------------------------------------------------------------------- */

static int wait_by_poll(int fd, short events, int wait_ms)
{
    uint64_t deadline_us = time_mono_us() + (uint64_t)(wait_ms > 0 ? wait_ms : 0) * 1000;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        int n = poll(&p, 1, wait_ms < 0 ? -1 : time_left_ms(deadline_us));
        if (n >= 0 || errno != EINTR)
            return n >= 0 ? n : -errno;
    }
}

/* --- bytes ------------------------------------------------------------------------------------------- */

static ssize_t receive(struct redis_conn *c)
{
    if (c->tls)
        return tls_client_read(c->tls, c->in, sizeof(c->in));
    ssize_t n;
    do
        n = recv(c->fd, c->in, sizeof(c->in), 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t transmit(struct redis_conn *c)
{
    const void *from = c->out.ptr + c->sent;
    size_t len = c->out.len - c->sent;
    if (c->tls)
        return tls_client_write(c->tls, from, len);
    ssize_t n;
    do
        n = send(c->fd, from, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static int gone(struct redis_conn *c, struct err *err)
{
    c->cut = true;
    return err_set(err, ERR_CUT, "%s: the server ended the connection", c->name);
}

/* Takes what has come. 1: some bytes; 0: none for now; ERR_CUT. */
static int take_in(struct redis_conn *c, struct err *err)
{
    if (c->cut)
        return gone(c, err);
    ssize_t n = receive(c);
    if (n == -EAGAIN)
        return 0;
    if (n <= 0)
        return gone(c, err);
    c->bytes_in += (uint64_t)n;
    return redisReaderFeed(c->reader, c->in, (size_t)n) == REDIS_OK ? 1 : err_sys(err, ENOMEM, "%s", c->name);
}

int redis_conn_send(struct redis_conn *c, struct err *err)
{
    uint64_t deadline_us = time_mono_us() + (uint64_t)c->o.reply_ms * 1000;
    while (c->sent < c->out.len) {
        ssize_t n = c->cut ? 0 : transmit(c);
        if (n > 0) {
            c->sent += (size_t)n;
            deadline_us = time_mono_us() + (uint64_t)c->o.reply_ms * 1000;
            continue;
        }
        if (n != -EAGAIN)
            return gone(c, err);
        int rc = take_in(c, err);
        if (rc == 0)
            rc = c->o.wait(c->fd, POLLIN | POLLOUT, time_left_ms(deadline_us));
        if (rc == 0)
            return err_set(err, -ETIMEDOUT, "%s takes no more commands", c->name);
        if (rc < 0)
            return rc;
    }
    buf_reset(&c->out);
    c->sent = 0;
    if (c->out.cap > KEPT_MAX)
        buf_finish(&c->out);
    return 0;
}

/* A reply that is whole: 1; 0: more bytes are needed; ERR_FORMAT. */
static int parse(struct redis_conn *c, struct redisReply **out, struct err *err)
{
    void *reply = NULL;
    if (redisReaderGetReply(c->reader, &reply) != REDIS_OK)
        return c->reader->err == REDIS_ERR_OOM
                   ? err_sys(err, ENOMEM, "%s", c->name)
                   : err_set(err, ERR_FORMAT, "%s does not speak as a Redis server: %s", c->name, c->reader->errstr);
    if (!reply)
        return 0;
    *out = reply;
    return 1;
}

int redis_conn_reply(struct redis_conn *c, int wait_ms, struct redisReply **out, struct err *err)
{
    uint64_t deadline_us = time_mono_us() + (wait_ms < 0 ? c->o.reply_ms : (uint64_t)wait_ms) * 1000;
    for (;;) {
        int rc = parse(c, out, err);
        if (rc != 0)
            return rc > 0 ? 0 : rc;
        rc = take_in(c, err);
        if (rc > 0)
            continue;
        int left = time_left_ms(deadline_us);
        if (rc == 0 && left > 0)
            rc = c->o.wait(c->fd, POLLIN, left);
        if (rc < 0)
            return rc;
        if (rc == 0 && time_left_ms(deadline_us) == 0)
            return wait_ms < 0 ? err_set(err, -ETIMEDOUT, "%s does not answer", c->name) : -EAGAIN;
    }
}

/* --- commands ---------------------------------------------------------------------------------------- */

int redis_conn_add(struct redis_conn *c, const struct span *words, size_t count)
{
    return redis_command(&c->out, words, count);
}

size_t redis_conn_waiting(const struct redis_conn *c)
{
    return c->out.len - c->sent;
}

int redis_conn_do(struct redis_conn *c, const struct span *words, size_t count, struct redisReply **out, struct err *err)
{
    struct redisReply *reply = NULL;
    int rc = redis_conn_add(c, words, count);
    if (rc != 0)
        return err_sys(err, -rc, "%s", c->name);
    rc = redis_conn_send(c, err);
    if (rc == 0)
        rc = redis_conn_reply(c, -1, &reply, err);
    if (rc == 0)
        rc = redis_check(reply, err, c->name);
    if (rc == 0 && out)
        *out = reply;
    else if (reply)
        freeReplyObject(reply);
    return rc;
}

int redis_conn_fd(const struct redis_conn *c)
{
    return c->fd;
}

const char *redis_conn_name(const struct redis_conn *c)
{
    return c->name;
}

uint64_t redis_conn_bytes(const struct redis_conn *c)
{
    return c->bytes_in;
}

void redis_conn_wait_plainly(struct redis_conn *c)
{
    c->o.wait = wait_by_poll;
}

void redis_conn_shut(struct redis_conn *c)
{
    if (c->tls)
        tls_client_shut(c->tls);
    (void)shutdown(c->fd, SHUT_WR);
}

bool redis_conn_gone(struct redis_conn *c)
{
    return take_in(c, NULL) < 0;
}

/* --- opening ----------------------------------------------------------------------------------------- */

/* The server's words are not shown where they may repeat the credentials. */
static int log_in(struct redis_conn *c, const struct ss_redis_node *node, struct err *err)
{
    struct err why = ERR_INIT;
    struct span words[3] = {span_str("AUTH"), span_str(node->user), span_str(node->password)};
    if (!node->user)
        words[1] = words[2];
    bool given = node->user || node->password;
    int rc = given ? redis_conn_do(c, words, node->user ? 3 : 2, NULL, &why) : 0;
    if (rc == ERR_REMOTE)
        return err_set(err, ERR_AUTH, "%s takes no credentials, or not in this form", c->name);
    return rc == 0 ? 0 : err_set(err, rc, "%s", why.text);
}

static int choose_db(struct redis_conn *c, const struct ss_redis_node *node, struct err *err)
{
    char digits[U64_TEXT_MAX];
    struct span words[2] = {span_str("SELECT"), span_of(digits, text_format_u64(digits, node->db))};
    return node->db == 0 ? 0 : redis_conn_do(c, words, 2, NULL, err);
}

/* Who may not PING may still read. */
static int greet(struct redis_conn *c, struct err *err)
{
    struct span word = span_str("PING");
    int rc = redis_conn_do(c, &word, 1, NULL, err);
    return rc == ERR_FORBIDDEN ? 0 : rc;
}

static void set_up(struct redis_conn *c, const struct ss_redis_node *node, const struct redis_options *options)
{
    bool v6 = strchr(node->host, ':') != NULL;
    c->o = options ? *options : (struct redis_options){0};
    if (c->o.connect_ms == 0)
        c->o.connect_ms = CONNECT_MS;
    if (c->o.reply_ms == 0)
        c->o.reply_ms = REPLY_MS;
    if (!c->o.wait)
        c->o.wait = wait_by_poll;
    snprintf(c->name, sizeof(c->name), v6 ? "[%s]:%s" : "%s:%s", node->host, node->port);
}

static int open_tls(struct redis_conn *c, const char *host, uint64_t deadline_us, struct err *err)
{
    struct tls_client_options o = {.host = host,
                                   .ca_file = c->o.ca_file,
                                   .insecure = c->o.insecure,
                                   .deadline_us = deadline_us,
                                   .wait = c->o.wait};
    return tls_client_open(&c->tls, c->fd, &o, err);
}

int redis_conn_open(struct redis_conn **out, const struct ss_redis_node *node, const struct redis_options *options, struct err *err)
{
    struct redis_conn *c = calloc(1, sizeof(*c));
    if (!c)
        return err_sys(err, ENOMEM, "connect");
    c->fd = -1;
    set_up(c, node, options);
    uint64_t deadline_us = time_mono_us() + (uint64_t)c->o.connect_ms * 1000;
    c->reader = redis_reader_new();
    int rc = c->reader ? redis_dial(&c->fd, node, c->name, &c->o, deadline_us, err) : err_sys(err, ENOMEM, "connect");
    if (rc == 0 && node->tls)
        rc = open_tls(c, node->host, deadline_us, err);
    if (rc == 0)
        rc = log_in(c, node, err);
    if (rc == 0)
        rc = choose_db(c, node, err);
    if (rc == 0)
        rc = greet(c, err);
    if (rc != 0) {
        redis_conn_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

void redis_conn_close(struct redis_conn *c)
{
    if (!c)
        return;
    tls_client_close(c->tls);
    if (c->fd >= 0)
        close(c->fd);
    if (c->reader)
        redisReaderFree(c->reader);
    if (c->out.ptr) /* it held the password */
        explicit_bzero(c->out.ptr, c->out.cap);
    buf_finish(&c->out);
    free(c);
}
