#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "tests/rig/http_rig.h"

#define PATIENCE_S 5
#define ECHO_ROOM (128u * 1024)

/* --- the handler -------------------------------------------------------------------------------
 */

struct task {
    struct task *next;
    struct http_req *req;
    struct buf body;
    bool gone;
    bool held;     /* /pause: has refused bytes once */
    bool ended;    /* /echo */
    bool answered; /* from begin on */
    bool due;      /* /later, /pause: the timer acts on it */
    unsigned seen; /* /follow: events told */
    uint64_t left; /* /bytes */
};

static bool at(struct http_req *req, const char *path)
{
    return span_is(http_path(req), path);
}

static void reply_text(struct http_req *req, int status, const char *text)
{
    static const struct http_field fields[] = {{"x-test", "yes"}, {NULL, NULL}};
    http_reply(req, status, "text/plain", span_str(text), fields);
}

static long read_bytes(void *arg, struct http_req *req, uint8_t *into, size_t room)
{
    struct rig *rig = arg;
    struct task *task = http_state(req);
    size_t n = task->left < room ? (size_t)task->left : room;
    pthread_mutex_lock(&rig->lock);
    rig->given += n;
    if (room < rig->room && task->left > room)
        rig->room = room;
    pthread_mutex_unlock(&rig->lock);
    memset(into, 'b', n);
    task->left -= n;
    return (long)n;
}

static long read_abort(void *arg, struct http_req *req, uint8_t *into, size_t room)
{
    (void)arg, (void)room;
    struct task *task = http_state(req);
    if (task->seen++ > 0)
        return HTTP_ABORT;
    memcpy(into, "part", 4);
    return 4;
}

static long read_events(void *arg, struct http_req *req, uint8_t *into, size_t room)
{
    struct rig *rig = arg;
    struct task *task = http_state(req);
    if (task->seen == rig->events)
        return HTTP_WAIT;
    return snprintf((char *)into, room, "event %u\n", ++task->seen);
}

/* Wakes itself from within read, once, before it has something: the wake must not be lost. */
static long read_woken(void *arg, struct http_req *req, uint8_t *into, size_t room)
{
    (void)arg, (void)room;
    struct task *task = http_state(req);
    if (task->seen++ == 0) {
        http_wake(req);
        return HTTP_WAIT;
    }
    if (task->seen > 2)
        return 0;
    memcpy(into, "woken", 5);
    return 5;
}

/* ?0 ends at once, others tell a byte first. */
static long read_trailed(void *arg, struct http_req *req, uint8_t *into, size_t room)
{
    (void)arg, (void)room;
    struct task *task = http_state(req);
    if (task->left > 0) {
        *into = 't';
        return (long)task->left--;
    }
    assert(http_add_trailer(req, "Weir-Exit", "") == ERR_INVALID);
    assert(http_add_trailer(req, "Weir-Exit", "3\r\nX: y") == ERR_INVALID);
    assert(http_add_trailer(req, "Weir-Exit", "3") == 0);
    assert(http_add_trailer(req, "Weir-Error", "no such f\xc3\xaf" "le") == 0);
    return 0;
}

/* What came in goes out; more is taken only when that is gone. */
static long read_echo(void *arg, struct http_req *req, uint8_t *into, size_t room)
{
    struct task *task = http_state(req);
    (void)arg;
    if (task->body.len == 0)
        return task->ended ? 0 : HTTP_WAIT;
    size_t n = task->body.len < room ? task->body.len : room;
    memcpy(into, task->body.ptr, n);
    buf_consume(&task->body, n);
    http_resume_body(req);
    return (long)n;
}

static size_t take_echo(struct http_req *req, struct task *task, struct span bytes)
{
    size_t room = ECHO_ROOM - task->body.len;
    size_t n = bytes.len < room ? bytes.len : room;
    if (http_is_duplex(req) || n == bytes.len) {
        assert(buf_add(&task->body, bytes.ptr, n) == 0);
        http_wake(req);
        return n;
    }
    assert(buf_add_span(&task->body, bytes) == 0); /* read is not called before the end */
    return bytes.len;
}

static uint64_t query_number(struct http_req *req)
{
    uint64_t n = 0;
    (void)text_u64(http_query(req), &n);
    return n;
}

static void reply_peer(struct http_req *req)
{
    struct http_peer peer = {"none", 0};
    (void)http_peer(req, &peer);
    http_reply(req, 200, "text/plain", span_str(peer.ip), NULL);
}

static void begin_answering(struct http_req *req, struct task *task)
{
    task->left = query_number(req);
    task->answered = true;
    if (at(req, "/bytes"))
        http_reply_stream(req, 200, NULL, UINT64_MAX, read_bytes, NULL);
    else if (at(req, "/sized"))
        http_reply_stream(req, 200, NULL, task->left, read_bytes, NULL);
    else if (at(req, "/abort"))
        http_reply_stream(req, 200, NULL, UINT64_MAX, read_abort, NULL);
    else if (at(req, "/follow"))
        http_reply_stream(req, 200, NULL, UINT64_MAX, read_events, NULL);
    else if (at(req, "/woken"))
        http_reply_stream(req, 200, NULL, UINT64_MAX, read_woken, NULL);
    else if (at(req, "/trailed"))
        http_reply_stream(req, 200, NULL, UINT64_MAX, read_trailed, NULL);
    else if (at(req, "/early"))
        reply_text(req, 413, "early");
    else if (at(req, "/none"))
        http_reply(req, 204, NULL, (struct span){NULL, 0}, NULL);
    else if (at(req, "/same"))
        http_reply(req, 304, NULL, (struct span){NULL, 0}, NULL);
    else if (at(req, "/peer"))
        reply_peer(req);
    else if (at(req, "/echo"))
        http_reply_stream(req, 200, NULL, UINT64_MAX, read_echo, NULL);
    else
        task->answered = false;
}

static void on_begin(void *arg, struct http_req *req)
{
    struct rig *rig = arg;
    struct task *task = calloc(1, sizeof(*task));
    assert(task);
    task->req = req;
    task->next = rig->tasks;
    rig->tasks = task;
    http_set_state(req, task);
    pthread_mutex_lock(&rig->lock);
    rig->begun++;
    snprintf(rig->log, sizeof(rig->log), "%.*s?%.*s", SPAN_ARG(http_path(req)),
             SPAN_ARG(http_query(req)));
    pthread_cond_broadcast(&rig->moved);
    pthread_mutex_unlock(&rig->lock);
    begin_answering(req, task);
}

static size_t on_body(void *arg, struct http_req *req, struct span bytes)
{
    (void)arg;
    struct task *task = http_state(req);
    if (at(req, "/mid")) {
        reply_text(req, 413, "mid");
        return 0;
    }
    if (at(req, "/echo"))
        return take_echo(req, task, bytes);
    if (at(req, "/pause") && !task->held) {
        task->held = true;
        task->due = true;
        return bytes.len > 3 ? 3 * (buf_add(&task->body, bytes.ptr, 3) == 0) : 0;
    }
    if (at(req, "/bite")) { /* resumes from within body: offered again at once */
        http_resume_body(req);
        return buf_add(&task->body, bytes.ptr, 1) == 0 ? 1 : 0;
    }
    assert(buf_add_span(&task->body, bytes) == 0);
    return bytes.len;
}

static void on_end(void *arg, struct http_req *req)
{
    (void)arg;
    struct task *task = http_state(req);
    task->ended = true;
    if (task->answered)
        http_wake(req);
    else if (at(req, "/later"))
        task->due = true;
    else if (at(req, "/header"))
        http_reply(req, 200, NULL, http_header(req, "xS-MeTa"), NULL);
    else if (!at(req, "/never"))
        http_reply(req, 200, "text/plain", buf_span(&task->body), NULL);
}

static void on_gone(void *arg, struct http_req *req, bool complete)
{
    struct rig *rig = arg;
    struct task *task = http_state(req);
    struct task **link = &rig->tasks;
    while (*link && *link != task)
        link = &(*link)->next;
    pthread_mutex_lock(&rig->lock);
    rig->gone++;
    rig->whole += complete;
    rig->gone_twice = rig->gone_twice || !*link;
    pthread_cond_broadcast(&rig->moved);
    pthread_mutex_unlock(&rig->lock);
    if (!*link)
        return;
    *link = task->next;
    buf_finish(&task->body);
    free(task);
}

/* --- the loop thread --- */

static void on_later(uv_timer_t *timer)
{
    struct rig *rig = timer->data;
    for (struct task *task = rig->tasks; task; task = task->next) {
        if (!task->due)
            continue;
        task->due = false;
        if (at(task->req, "/pause"))
            http_resume_body(task->req);
        else
            http_reply(task->req, 200, NULL, buf_span(&task->body), NULL);
    }
}

static void on_drained(void *arg)
{
    struct rig *rig = arg;
    pthread_mutex_lock(&rig->lock);
    rig->drained++;
    pthread_cond_broadcast(&rig->moved);
    pthread_mutex_unlock(&rig->lock);
}

static void wake_all(struct rig *rig)
{
    for (struct task *task = rig->tasks; task; task = task->next)
        if (at(task->req, "/late") && !task->answered) {
            task->answered = true;
            reply_text(task->req, 200, "late");
        } else {
            http_wake(task->req);
        }
}

static void stop_all(struct rig *rig)
{
    http_destroy(rig->server);
    uv_close((uv_handle_t *)&rig->order, NULL);
    uv_close((uv_handle_t *)&rig->later, NULL);
    uv_close((uv_handle_t *)&rig->count_turns, NULL);
}

static void on_order(uv_async_t *async)
{
    struct rig *rig = async->data;
    pthread_mutex_lock(&rig->lock);
    int order = rig->wanted;
    rig->wanted = ORDER_NONE;
    pthread_mutex_unlock(&rig->lock);
    if (order == ORDER_NONE)
        return;
    rig->events += order == ORDER_EVENT;
    if (order == ORDER_EVENT || order == ORDER_WAKE)
        wake_all(rig);
    else if (order == ORDER_ADD)
        (void)http_add(rig->server, rig->fd_to_add, &rig->doors[rig->via_to_add], NULL);
    else if (order == ORDER_END)
        http_end(rig->server, &rig->doors[rig->via_to_add]);
    else if (order == ORDER_CUT)
        http_cut(rig->server, &rig->doors[rig->via_to_add]);
    else if (order == ORDER_SHUTDOWN)
        http_shutdown(rig->server, rig->shutdown_ms, on_drained, rig);
    else
        stop_all(rig);
    pthread_mutex_lock(&rig->lock);
    rig->done++;
    pthread_cond_broadcast(&rig->moved);
    pthread_mutex_unlock(&rig->lock);
}

static void on_turn(uv_prepare_t *prepare)
{
    struct rig *rig = prepare->data;
    pthread_mutex_lock(&rig->lock);
    rig->turns++;
    pthread_mutex_unlock(&rig->lock);
}

static void *run_loop(void *arg)
{
    struct rig *rig = arg;
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    return NULL;
}

struct rig *rig_start(unsigned idle_s, size_t max)
{
    static const struct http_handler handler = {on_begin, on_body, on_end, on_gone};
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    rig->room = SIZE_MAX;
    rig->shutdown_ms = 1000;
    pthread_mutex_init(&rig->lock, NULL);
    pthread_cond_init(&rig->moved, NULL);
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    struct http_options options = {idle_s, max};
    for (int via = HTTP_VIA_UNIX; via <= HTTP_VIA_TCP; via++)
        rig->doors[via] = (struct http_door){.via = (enum http_via)via, .handler = &handler, .arg = rig};
    assert_int_equal(http_create(&rig->server, &rig->loop, &options, NULL), 0);
    uv_async_init(&rig->loop, &rig->order, on_order);
    uv_timer_init(&rig->loop, &rig->later);
    uv_prepare_init(&rig->loop, &rig->count_turns);
    rig->order.data = rig->later.data = rig->count_turns.data = rig;
    uv_timer_start(&rig->later, on_later, 20, 20);
    uv_prepare_start(&rig->count_turns, on_turn);
    assert_int_equal(pthread_create(&rig->thread, NULL, run_loop, rig), 0);
    return rig;
}

void rig_order(struct rig *rig, int order)
{
    pthread_mutex_lock(&rig->lock);
    rig->wanted = order;
    unsigned next = rig->done + 1;
    pthread_mutex_unlock(&rig->lock);
    uv_async_send(&rig->order);
    assert_true(rig_reaches(rig, &rig->done, next));
}

void rig_stop(struct rig *rig)
{
    rig_order(rig, ORDER_STOP);
    pthread_join(rig->thread, NULL);
    assert_int_equal(uv_loop_close(&rig->loop), 0);
    assert_int_equal(rig->begun, rig->gone);
    assert_false(rig->gone_twice);
    assert_null(rig->tasks);
    pthread_cond_destroy(&rig->moved);
    pthread_mutex_destroy(&rig->lock);
    free(rig);
}

bool rig_reaches(struct rig *rig, const unsigned *counter, unsigned n)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    int rc = 0;
    pthread_mutex_lock(&rig->lock);
    while (*counter < n && rc == 0)
        rc = pthread_cond_timedwait(&rig->moved, &rig->lock, &end);
    bool reached = *counter >= n;
    pthread_mutex_unlock(&rig->lock);
    return reached;
}

unsigned rig_now(struct rig *rig, const unsigned *counter)
{
    pthread_mutex_lock(&rig->lock);
    unsigned now = *counter;
    pthread_mutex_unlock(&rig->lock);
    return now;
}

size_t rig_given(struct rig *rig)
{
    pthread_mutex_lock(&rig->lock);
    size_t given = rig->given;
    pthread_mutex_unlock(&rig->lock);
    return given;
}

/* --- the client --- */

static void tcp_pair(int pair[2])
{
    int lfd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(to);
    assert_int_equal(bind(lfd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(listen(lfd, 1), 0);
    assert_int_equal(getsockname(lfd, (struct sockaddr *)&to, &len), 0);
    pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(pair[0], (struct sockaddr *)&to, sizeof(to)), 0);
    pair[1] = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(pair[1] >= 0);
    close(lfd);
}

int rig_connect(struct rig *rig, enum http_via via)
{
    int pair[2];
    struct timeval patience = {.tv_sec = PATIENCE_S};
    if (via == HTTP_VIA_TCP)
        tcp_pair(pair);
    else
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    fcntl(pair[1], F_SETFL, O_NONBLOCK);
    rig->fd_to_add = pair[1];
    rig->via_to_add = via;
    rig_order(rig, ORDER_ADD);
    return pair[0];
}

void say_bytes(int fd, const void *bytes, size_t len)
{
    const char *p = bytes;
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the server may rightly have closed; the answer is what counts */
        p += n;
        len -= (size_t)n;
    }
}

void say(int fd, const char *text)
{
    say_bytes(fd, text, strlen(text));
}

static bool more(int fd, struct buf *rest)
{
    char bytes[65536];
    ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
    return n > 0 && buf_add(rest, bytes, (size_t)n) == 0;
}

static const char *field(struct answer *a, const char *name)
{
    const char *hit = strcasestr(buf_cstr(&a->head), name);
    return hit ? hit + strlen(name) : NULL;
}

/* Takes one line with its CRLF off the front. */
static bool line_of(int fd, struct buf *rest, struct buf *line)
{
    void *end;
    while (!(end = memmem(rest->ptr ? rest->ptr : (uint8_t *)"", rest->len, "\r\n", 2)))
        if (!more(fd, rest))
            return false;
    size_t len = (size_t)((uint8_t *)end - rest->ptr);
    buf_reset(line);
    assert_int_equal(buf_add(line, rest->ptr, len), 0);
    buf_consume(rest, len + 2);
    return true;
}

static bool take_bytes(int fd, struct buf *rest, struct buf *into, size_t n)
{
    while (rest->len < n)
        if (!more(fd, rest))
            return false;
    assert_int_equal(buf_add(into, rest->ptr, n), 0);
    buf_consume(rest, n);
    return true;
}

static bool trailers(int fd, struct answer *out, struct buf *rest)
{
    CLEAN_BUF line = BUF_INIT;
    while (line_of(fd, rest, &line)) {
        if (line.len == 0)
            return true;
        assert_int_equal(buf_addf(&out->trailers, "%s\n", buf_cstr(&line)), 0);
    }
    return false;
}

static bool chunks(int fd, struct answer *out, struct buf *rest)
{
    CLEAN_BUF line = BUF_INIT;
    for (;;) {
        if (!line_of(fd, rest, &line))
            return false;
        size_t n = strtoul(buf_cstr(&line), NULL, 16);
        if (n == 0)
            return trailers(fd, out, rest);
        if (!take_bytes(fd, rest, &out->body, n))
            return false;
        if (!line_of(fd, rest, &line) || line.len > 0)
            return false;
    }
}

bool hear(int fd, struct answer *out, struct buf *rest, bool head_only)
{
    CLEAN_BUF line = BUF_INIT;
    *out = (struct answer){0};
    do {
        if (!line_of(fd, rest, &line))
            return false;
        assert_int_equal(buf_addf(&out->head, "%s\r\n", buf_cstr(&line)), 0);
    } while (line.len > 0);
    out->status = atoi(buf_cstr(&out->head) + 9);
    out->chunked = field(out, "transfer-encoding: chunked") != NULL;
    out->close = field(out, "connection: close") != NULL;
    const char *length = field(out, "content-length: ");
    bool bare = head_only || out->status < 200 || out->status == 204 || out->status == 304;
    if (bare)
        out->ended = true;
    else if (out->chunked)
        out->ended = chunks(fd, out, rest);
    else
        out->ended = length && take_bytes(fd, rest, &out->body, strtoul(length, NULL, 10));
    return true;
}

void answer_finish(struct answer *answer)
{
    buf_finish(&answer->head);
    buf_finish(&answer->body);
    buf_finish(&answer->trailers);
}

void expect(int fd, struct buf *rest, int status, const char *body)
{
    struct answer answer;
    assert_true(hear(fd, &answer, rest, false));
    assert_int_equal(answer.status, status);
    assert_true(answer.ended);
    if (body)
        assert_string_equal(buf_cstr(&answer.body), body);
    answer_finish(&answer);
}

bool hears_end(int fd)
{
    char waste[65536];
    ssize_t n;
    while ((n = recv(fd, waste, sizeof(waste), 0)) > 0)
        ;
    return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}
