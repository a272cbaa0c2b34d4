/*
 * An S2 endpoint with one stream in memory, for client tests: HTTP/2 by nghttp2 on a Unix socket
 * or, with TLS, on a loopback port, in a thread of its own. Faults are switched on by the test. In
 * a header, so that a test stays one program of one file.
 */
#ifndef TESTS_S2_MODEL_SERVER_H
#define TESTS_S2_MODEL_SERVER_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

#include "base/s2/frame.h"
#include "base/s2/json.h"
#include "base/s2/proto.h"
#include "base/text.h"

#define MODEL_CONNS 16
#define MODEL_RECORDS 100000

struct model_record {
    uint8_t *bytes; /* body */
    size_t len;
    uint64_t timestamp;
    char writer[16]; /* value of header "w" */
};

/* What is to go wrong. Counters go down as it does. */
struct model_faults {
    int lose_ack;   /* so many appends take effect, and then the connection ends without an ack */
    int drop_input; /* so many inputs are met by the end of the connection, without effect */
    int refuse;     /* so many requests are answered refuse_status */
    int refuse_status;
    const char *refuse_json;
    bool hold_acks;            /* acks wait until this is false */
    bool mute;                 /* reads begin and then nothing comes */
    int cut_read;              /* read sessions end without notice after a frame, so often */
    int advise;                /* frames that carry the advice to come back */
    int repeat;                /* read sessions that begin with a record too much */
    bool no_heartbeat_records; /* a batch without anything */
};

struct model;
struct model_conn;

struct model_stream {
    struct model_conn *conn;
    int32_t id;
    char path[512], method[8], type[64], accept[64], key[64], config[128];
    struct buf in;  /* body */
    struct buf out; /* the answer's */
    size_t out_at;
    bool answered, ended_in, end_out, session, reading, deferred, greeted;
    struct buf held; /* acks that wait */
    uint64_t next;   /* of a read session */
    uint64_t left;   /* its count */
    bool bounded;
};

struct model_conn {
    struct model *m;
    int fd;
    gnutls_session_t tls;
    bool shaken;
    nghttp2_session *h2;
    struct buf out;
    bool dead;
};

struct model {
    char dir[64], addr[128];
    int listener, wake[2];
    bool with_tls;
    gnutls_certificate_credentials_t cred;
    pthread_t thread;
    pthread_mutex_t lock;
    _Atomic bool stop;
    struct model_conn conns[MODEL_CONNS];
    struct model_record records[MODEL_RECORDS];
    size_t count;
    struct model_faults faults;
    char fence[40];
    int accepts, requests, inputs, max_pending;
    char last_key[64], last_config[128];
};

/* --- the stream ---------------------------------------------------------------------------------
 */

static struct s2_position model_tail(const struct model *m)
{
    return (struct s2_position){m->count, m->count ? m->records[m->count - 1].timestamp : 0};
}

static void model_add(struct model *m, const struct s2_record *r)
{
    struct model_record *to = &m->records[m->count];
    to->bytes = malloc(r->body.len + 1);
    memcpy(to->bytes, r->body.ptr, r->body.len);
    to->len = r->body.len;
    to->timestamp = 1000 + m->count;
    to->writer[0] = '\0';
    for (size_t i = 0; i < r->header_count; i++) {
        if (span_is(r->headers[i].name, "w"))
            snprintf(to->writer, sizeof(to->writer), "%.*s", SPAN_ARG(r->headers[i].value));
    }
    m->count++;
}

/* 0 and the ack, or a status and its JSON. */
static int model_append(struct model *m, struct span message, struct s2_ack *ack, struct buf *json)
{
    struct s2_input in = {0};
    struct err err;
    int status = 0;
    if (s2_proto_read_input(&in, message, &err) != 0 || s2_input_check(&in, &err) != 0) {
        buf_add_str(json, "{\"code\":\"invalid\",\"message\":\"bad input\"}");
        status = 422;
    } else if (in.has_token && !span_is(in.token, m->fence)) {
        buf_addf(json, "{\"fencing_token_mismatch\":\"%s\"}", m->fence);
        status = 412;
    } else if (in.has_match && in.match_seq_num != m->count) {
        buf_addf(json, "{\"seq_num_mismatch\":%zu}", m->count);
        status = 412;
    } else {
        ack->start = (struct s2_position){m->count, 1000 + m->count};
        for (size_t i = 0; i < in.count; i++)
            model_add(m, &in.records[i]);
        ack->end = ack->tail = model_tail(m);
        m->inputs++;
    }
    s2_input_finish(&in);
    return status;
}

static void model_put_record(struct model *m, struct buf *out, uint64_t at)
{
    struct model_record *from = &m->records[at];
    struct s2_header h = {span_str("w"), span_str(from->writer)};
    struct s2_record r = {.has_timestamp = true,
                          .timestamp = from->timestamp,
                          .seq_num = at,
                          .headers = &h,
                          .header_count = from->writer[0] ? 1 : 0,
                          .body = span_of(from->bytes, from->len)};
    s2_proto_put_record(out, &r);
}

/* --- answers
 * --------------------------------------------------------------------------------------- */

static ssize_t model_give(nghttp2_session *h2, int32_t id, uint8_t *into, size_t room,
                          uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct model_stream *s = source->ptr;
    (void)h2, (void)id, (void)arg;
    size_t n = buf_copy(&s->out, &s->out_at, into, room);
    if (s->out_at == s->out.len) {
        buf_reset(&s->out);
        s->out_at = 0;
        if (s->end_out)
            *flags |= NGHTTP2_DATA_FLAG_EOF;
        else if (n == 0) {
            s->deferred = true;
            return NGHTTP2_ERR_DEFERRED;
        }
    }
    return (ssize_t)n;
}

#define MODEL_NV(n, v)                                                                             \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), strlen(n), strlen(v), 0              \
    }

static void model_answer(struct model_stream *s, int status, const char *type)
{
    char text[8];
    snprintf(text, sizeof(text), "%d", status);
    nghttp2_nv nv[] = {MODEL_NV(":status", text), MODEL_NV("content-type", type)};
    nghttp2_data_provider data = {.source.ptr = s, .read_callback = model_give};
    s->answered = true;
    nghttp2_submit_response(s->conn->h2, s->id, nv, 2, &data);
}

static void model_resume(struct model_stream *s)
{
    if (s->deferred && s->answered) {
        s->deferred = false;
        nghttp2_session_resume_data(s->conn->h2, s->id);
    }
}

static void model_refuse(struct model_stream *s, int status, const char *json)
{
    s->end_out = true;
    if (s->answered) {
        buf_add_span(&s->out, buf_span(&s->held)); /* earlier inputs are acked first */
        s2s_put_terminal(&s->out, (unsigned)status, span_str(json));
        model_resume(s);
    } else {
        buf_add_str(&s->out, json);
        model_answer(s, status, "application/json");
    }
}

/* --- sessions
 * --------------------------------------------------------------------------------------- */

static void model_take_inputs(struct model_stream *s)
{
    struct model *m = s->conn->m;
    struct span rest = buf_span(&s->in);
    struct s2s_frame frame;
    struct err err;
    struct buf room = BUF_INIT, json = BUF_INIT;
    size_t before = rest.len;
    while (!s->end_out && !s->conn->dead && s2s_next(&frame, &rest, &err) == 0) {
        struct span message;
        struct s2_ack ack;
        if (m->faults.drop_input > 0) {
            m->faults.drop_input--;
            s->conn->dead = true;
            break;
        }
        s2s_message(&message, &frame, &room, &err);
        int status = model_append(m, message, &ack, &json);
        if (status != 0) {
            const char *text = buf_cstr(&json);
            model_refuse(s, status, text);
            break;
        }
        if (m->faults.lose_ack > 0) {
            m->faults.lose_ack--;
            s->conn->dead = true;
            break;
        }
        struct buf encoded = BUF_INIT;
        s2_proto_put_ack(&encoded, &ack);
        bool advise = m->faults.advise > 0;
        m->faults.advise -= advise;
        s2s_put(&s->held, buf_span(&encoded), CODING_NONE, advise);
        buf_finish(&encoded);
    }
    buf_consume(&s->in, before - rest.len);
    buf_finish(&room);
    buf_finish(&json);
}

static uint64_t model_number(const char *path, const char *name, bool *has)
{
    char key[32];
    snprintf(key, sizeof(key), "%s=", name);
    const char *at = strchr(path, '?');
    at = at ? strstr(at, key) : NULL;
    if (has)
        *has = at != NULL;
    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static bool model_start(struct model_stream *s)
{
    struct model *m = s->conn->m;
    bool has_tail = false, has_wait;
    uint64_t back = model_number(s->path, "tail_offset", &has_tail);
    s->next =
        has_tail ? (m->count > back ? m->count - back : 0) : model_number(s->path, "seq_num", NULL);
    s->left = model_number(s->path, "count", &s->bounded);
    if (!s->bounded)
        s->left = UINT64_MAX;
    model_number(s->path, "wait", &has_wait);
    if (s->next > m->count || (s->next == m->count && s->bounded && !has_wait)) {
        char json[96];
        snprintf(json, sizeof(json), "{\"tail\":{\"seq_num\":%zu,\"timestamp\":7}}", m->count);
        model_refuse(s, 416, json);
        return false;
    }
    if (m->faults.repeat > 0 && s->next > 0) {
        m->faults.repeat--;
        s->next--;
    }
    return true;
}

/* One batch of at most ten records. */
static bool model_put_batch(struct model_stream *s, struct buf *batch)
{
    struct model *m = s->conn->m;
    size_t n = 0;
    for (; n < 10 && s->next < m->count && s->left > 0; n++, s->next++, s->left--)
        model_put_record(m, batch, s->next);
    if (n > 0)
        return true;
    if (s->bounded || s->greeted)
        return false;
    struct s2_position tail = model_tail(m);
    if (!m->faults.no_heartbeat_records)
        s2_proto_put_tail(batch, &tail);
    s->greeted = true;
    return true;
}

static void model_feed_reader(struct model_stream *s)
{
    struct model *m = s->conn->m;
    while (!m->faults.mute && !s->end_out && !s->conn->dead && s->out.len - s->out_at < 65536) {
        struct buf batch = BUF_INIT;
        bool any = model_put_batch(s, &batch);
        bool advise = any && m->faults.advise > 0;
        m->faults.advise -= advise;
        if (any)
            s2s_put(&s->out, buf_span(&batch), CODING_GZIP, advise);
        buf_finish(&batch);
        if (!any && s->bounded)
            s->end_out = true;
        if (!any)
            break;
        if (m->faults.cut_read > 0) {
            m->faults.cut_read--;
            s->conn->dead = true; /* after what is buffered went */
        }
    }
    model_resume(s);
}

/* --- requests
 * --------------------------------------------------------------------------------------- */

static void model_unary_append(struct model_stream *s)
{
    struct model *m = s->conn->m;
    struct buf json = BUF_INIT;
    struct s2_ack ack;
    if (m->faults.drop_input > 0) {
        m->faults.drop_input--;
        s->conn->dead = true;
        return;
    }
    int status = model_append(m, buf_span(&s->in), &ack, &json);
    if (status == 0 && m->faults.lose_ack > 0) {
        m->faults.lose_ack--;
        s->conn->dead = true;
    } else if (status == 0) {
        s2_proto_put_ack(&s->out, &ack);
        s->end_out = true;
        model_answer(s, 200, "application/protobuf");
    } else {
        model_refuse(s, status, buf_cstr(&json));
    }
    buf_finish(&json);
}

static void model_unary_read(struct model_stream *s)
{
    if (!model_start(s))
        return;
    for (size_t n = 0; n < 1000 && s->next < s->conn->m->count && s->left > 0;
         n++, s->next++, s->left--)
        model_put_record(s->conn->m, &s->out, s->next);
    s->end_out = true;
    model_answer(s, 200, "application/protobuf");
}

static void model_tail_answer(struct model_stream *s)
{
    struct s2_position tail = model_tail(s->conn->m);
    s2_json_put_tail(&s->out, &tail);
    s->end_out = true;
    model_answer(s, 200, "application/json");
}

static void model_request(struct model_stream *s)
{
    struct model *m = s->conn->m;
    bool records = strstr(s->path, "/records") != NULL;
    m->requests++;
    snprintf(m->last_key, sizeof(m->last_key), "%s", s->key);
    snprintf(m->last_config, sizeof(m->last_config), "%s", s->config);
    if (m->faults.refuse > 0) {
        m->faults.refuse--;
        model_refuse(s, m->faults.refuse_status, m->faults.refuse_json);
    } else if (strstr(s->path, "/records/tail")) {
        model_tail_answer(s);
    } else if (records && strcmp(s->type, "s2s/proto") == 0) {
        s->session = true;
        s->reading = strcmp(s->method, "GET") == 0;
        if (!s->reading || model_start(s))
            model_answer(s, 200, "s2s/proto");
    } else if (records && strcmp(s->method, "GET") == 0) {
        model_unary_read(s);
    } else if (!records) {
        buf_add_span(&s->out, buf_span(&s->in));
        s->end_out = true;
        model_answer(s, 200, "application/json");
    }
}

/* --- nghttp2
 * ------------------------------------------------------------------------------------------ */

static int model_on_begin(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
    struct model_conn *c = arg;
    struct model_stream *s = calloc(1, sizeof(*s));
    s->conn = c;
    s->id = frame->hd.stream_id;
    nghttp2_session_set_stream_user_data(h2, s->id, s);
    return 0;
}

static void model_copy(char *to, size_t room, const uint8_t *value, size_t len)
{
    snprintf(to, room, "%.*s", (int)len, (const char *)value);
}

static int model_on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
                           size_t nl, const uint8_t *value, size_t len, uint8_t flags, void *arg)
{
    struct model_stream *s = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
    struct span n = span_of(name, nl);
    (void)flags, (void)arg;
    if (span_is(n, ":path"))
        model_copy(s->path, sizeof(s->path), value, len);
    else if (span_is(n, ":method"))
        model_copy(s->method, sizeof(s->method), value, len);
    else if (span_is(n, "content-type"))
        model_copy(s->type, sizeof(s->type), value, len);
    else if (span_is(n, "s2-encryption-key"))
        model_copy(s->key, sizeof(s->key), value, len);
    else if (span_is(n, "s2-stream-config"))
        model_copy(s->config, sizeof(s->config), value, len);
    return 0;
}

static int model_on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
    struct model_stream *s = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
    (void)arg;
    if (!s || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
        return 0;
    bool post = strcmp(s->method, "POST") == 0;
    bool session = strcmp(s->type, "s2s/proto") == 0;
    if (frame->hd.type == NGHTTP2_HEADERS && (!post || session) && strcmp(s->method, "PUT") != 0)
        model_request(s);
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        s->ended_in = true;
        if (!session && post && strstr(s->path, "/records") && s->conn->m->faults.refuse == 0)
            model_unary_append(s);
        else if (!session && frame->hd.type == NGHTTP2_DATA)
            model_request(s);
    }
    return 0;
}

static int model_on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *bytes,
                         size_t len, void *arg)
{
    struct model_stream *s = nghttp2_session_get_stream_user_data(h2, id);
    (void)flags, (void)arg;
    if (s)
        buf_add(&s->in, bytes, len);
    return 0;
}

static void model_free_stream(struct model_stream *s)
{
    buf_finish(&s->in);
    buf_finish(&s->out);
    buf_finish(&s->held);
    free(s);
}

static int model_on_close(nghttp2_session *h2, int32_t id, uint32_t reason, void *arg)
{
    struct model_stream *s = nghttp2_session_get_stream_user_data(h2, id);
    (void)reason, (void)arg;
    nghttp2_session_set_stream_user_data(h2, id, NULL);
    if (s)
        model_free_stream(s);
    return 0;
}

/* --- connections
 * --------------------------------------------------------------------------------------- */

#define MODEL_STREAM_IDS 64

static void model_step(struct model_conn *c)
{
    struct model *m = c->m;
    for (int32_t id = 1; id < 2 * MODEL_STREAM_IDS && !c->dead; id += 2) {
        struct model_stream *s = nghttp2_session_get_stream_user_data(c->h2, id);
        if (!s || !s->session)
            continue;
        if (s->reading)
            model_feed_reader(s);
        else
            model_take_inputs(s);
        if (!s->reading && !m->faults.hold_acks && s->held.len > 0 && !s->end_out) {
            buf_add_span(&s->out, buf_span(&s->held));
            buf_reset(&s->held);
            model_resume(s);
        }
    }
}

static ssize_t model_io(struct model_conn *c, void *bytes, size_t len, bool send_it)
{
    if (c->tls) {
        ssize_t n = send_it ? gnutls_record_send(c->tls, bytes, len)
                            : gnutls_record_recv(c->tls, bytes, len);
        return n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED ? -EAGAIN : n < 0 ? -EPROTO : n;
    }
    ssize_t n = send_it ? send(c->fd, bytes, len, MSG_NOSIGNAL) : recv(c->fd, bytes, len, 0);
    return n < 0 ? -errno : n;
}

static void model_write(struct model_conn *c)
{
    const uint8_t *bytes;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(c->h2, &bytes)) > 0)
        buf_add(&c->out, bytes, (size_t)n);
    while (c->out.len > 0 && (n = model_io(c, c->out.ptr, c->out.len, true)) > 0)
        buf_consume(&c->out, (size_t)n);
}

static void model_end(struct model_conn *c)
{
    for (int32_t id = 1; id < 2 * MODEL_STREAM_IDS; id += 2) {
        struct model_stream *s = nghttp2_session_get_stream_user_data(c->h2, id);
        if (s)
            model_free_stream(s);
    }
    nghttp2_session_del(c->h2);
    if (c->tls)
        gnutls_deinit(c->tls);
    close(c->fd);
    buf_finish(&c->out);
    *c = (struct model_conn){.fd = -1};
}

static void model_read(struct model_conn *c)
{
    static uint8_t room[65536];
    ssize_t n;
    if (c->tls && !c->shaken) {
        int rc = gnutls_handshake(c->tls);
        if (rc < 0 && gnutls_error_is_fatal(rc))
            c->dead = true;
        c->shaken = rc == 0;
        if (!c->shaken)
            return;
    }
    while (!c->dead && (n = model_io(c, room, sizeof(room), false)) != -EAGAIN) {
        if (n <= 0 || nghttp2_session_mem_recv(c->h2, room, (size_t)n) < 0) {
            c->dead = true;
            return;
        }
        model_step(c);
    }
}

static void model_accept(struct model *m)
{
    int fd = accept4(m->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    nghttp2_session_callbacks *calls;
    nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 4 * 1024 * 1024};
    for (size_t i = 0; fd >= 0 && i < MODEL_CONNS; i++) {
        struct model_conn *c = &m->conns[i];
        if (c->fd >= 0)
            continue;
        *c = (struct model_conn){.m = m, .fd = fd};
        m->accepts++;
        nghttp2_session_callbacks_new(&calls);
        nghttp2_session_callbacks_set_on_begin_headers_callback(calls, model_on_begin);
        nghttp2_session_callbacks_set_on_header_callback(calls, model_on_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(calls, model_on_frame);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, model_on_data);
        nghttp2_session_callbacks_set_on_stream_close_callback(calls, model_on_close);
        nghttp2_session_server_new(&c->h2, calls, c);
        nghttp2_session_callbacks_del(calls);
        nghttp2_submit_settings(c->h2, 0, &window, 1);
        nghttp2_session_set_local_window_size(c->h2, 0, 0, 4 * 1024 * 1024);
        if (m->with_tls) {
            gnutls_datum_t h2 = {(unsigned char[]){'h', '2'}, 2};
            gnutls_init(&c->tls, GNUTLS_SERVER | GNUTLS_NONBLOCK);
            gnutls_set_default_priority(c->tls);
            gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, m->cred);
            gnutls_alpn_set_protocols(c->tls, &h2, 1, 0);
            gnutls_transport_set_int(c->tls, fd);
        }
        return;
    }
    if (fd >= 0)
        close(fd);
}

static void model_turn(struct model *m)
{
    for (size_t i = 0; i < MODEL_CONNS; i++) {
        struct model_conn *c = &m->conns[i];
        if (c->fd < 0)
            continue;
        model_read(c);
        if (!c->tls || c->shaken) {
            model_step(c);
            model_write(c);
        }
        if (c->dead)
            model_end(c);
    }
}

static void *model_main(void *arg)
{
    struct model *m = arg;
    char byte[16];
    while (!atomic_load(&m->stop)) {
        struct pollfd p[MODEL_CONNS + 2] = {{.fd = m->listener, .events = POLLIN},
                                            {.fd = m->wake[0], .events = POLLIN}};
        for (size_t i = 0; i < MODEL_CONNS; i++)
            p[i + 2] = (struct pollfd){
                .fd = m->conns[i].fd,
                .events = (short)(POLLIN | (m->conns[i].out.len > 0 ? POLLOUT : 0))};
        if (poll(p, MODEL_CONNS + 2, 5000) < 0)
            continue;
        pthread_mutex_lock(&m->lock);
        if (p[1].revents && read(m->wake[0], byte, sizeof(byte)) < 0)
            abort();
        if (p[0].revents)
            model_accept(m);
        model_turn(m);
        pthread_mutex_unlock(&m->lock);
    }
    for (size_t i = 0; i < MODEL_CONNS; i++) {
        if (m->conns[i].fd >= 0)
            model_end(&m->conns[i]);
    }
    return NULL;
}

/* --- for tests
 * ------------------------------------------------------------------------------------------ */

static void model_wake(struct model *m)
{
    if (write(m->wake[1], "x", 1) < 0)
        abort();
}

/* Changes faults and the stream while the server stands still. */
#define MODEL_SET(m, statement)                                                                    \
    do {                                                                                           \
        pthread_mutex_lock(&(m)->lock);                                                            \
        statement;                                                                                 \
        pthread_mutex_unlock(&(m)->lock);                                                          \
        model_wake(m);                                                                             \
    } while (0)

static void model_listen_unix(struct model *m)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(m->dir, sizeof(m->dir), "/tmp/weir-s2-model.XXXXXX");
    if (!mkdtemp(m->dir))
        abort();
    snprintf(to.sun_path, sizeof(to.sun_path), "%s/sock", m->dir);
    snprintf(m->addr, sizeof(m->addr), "unix:%s", to.sun_path);
    m->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(m->listener, (struct sockaddr *)&to, sizeof(to)) != 0)
        abort();
}

static void model_listen_tcp(struct model *m)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(to);
    m->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(m->listener, (struct sockaddr *)&to, sizeof(to)) != 0 ||
        getsockname(m->listener, (struct sockaddr *)&to, &len) != 0)
        abort();
    snprintf(m->addr, sizeof(m->addr), "%s://localhost:%u", m->with_tls ? "https" : "http",
             ntohs(to.sin_port));
}

/* `cred` not NULL: TLS. */
static struct model *model_start_server(gnutls_certificate_credentials_t cred)
{
    struct model *m = calloc(1, sizeof(*m));
    m->with_tls = cred != NULL;
    m->cred = cred;
    for (size_t i = 0; i < MODEL_CONNS; i++)
        m->conns[i].fd = -1;
    pthread_mutex_init(&m->lock, NULL);
    if (cred)
        model_listen_tcp(m);
    else
        model_listen_unix(m);
    if (listen(m->listener, 16) != 0 || pipe2(m->wake, O_CLOEXEC | O_NONBLOCK) != 0 ||
        pthread_create(&m->thread, NULL, model_main, m) != 0)
        abort();
    return m;
}

static void model_stop_server(struct model *m)
{
    char path[160];
    atomic_store(&m->stop, true);
    model_wake(m);
    pthread_join(m->thread, NULL);
    for (size_t i = 0; i < m->count; i++)
        free(m->records[i].bytes);
    close(m->listener);
    close(m->wake[0]);
    close(m->wake[1]);
    if (m->dir[0]) {
        snprintf(path, sizeof(path), "%s/sock", m->dir);
        unlink(path);
        rmdir(m->dir);
    }
    pthread_mutex_destroy(&m->lock);
    free(m);
}

#endif
