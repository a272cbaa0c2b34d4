/*
 * The protocol's side: what nghttp2 tells, passed on to streams. No I/O here.
 */
#include "daemon/h2/h2_impl.h"

#include <errno.h>
#include <string.h>

#define ACKS_MAX 256    /* answers to PING and SETTINGS that wait to be sent */
#define SETTINGS_MAX 32 /* entries of one SETTINGS frame */

static struct h2_stream *stream_at(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* --- heads ------------------------------------------------------------------------------------- */

static bool is_request_head(const nghttp2_frame *frame)
{
    return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    if (!is_request_head(frame))
        return 0;
    return h2_stream_open(user, frame->hd.stream_id) ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* Fields behind a body are checked by nghttp2 and then of no use. */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *user)
{
    (void)flags, (void)user;
    struct h2_stream *stream = is_request_head(frame) ? stream_at(session, frame->hd.stream_id) : NULL;
    if (!stream)
        return 0;
    return h2_stream_field(stream, span_of(name, name_len), span_of(value, value_len)) == 0 ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* --- frames ------------------------------------------------------------------------------------- */

static void final_goaway(struct h2_conn *conn)
{
    if (conn->noticed)
        conn->stamp_ms = 0; /* the notice went round: the next look ends it */
    h2_conn_due(conn);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_stream *stream = frame->hd.stream_id ? stream_at(session, frame->hd.stream_id) : NULL;
    bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK))
        final_goaway(user);
    if (!stream)
        return 0;
    if (is_request_head(frame))
        h2_stream_begin(stream, ended);
    else if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) && ended)
        h2_stream_ended(stream);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len, void *user)
{
    struct h2_stream *stream = stream_at(session, id);
    (void)flags;
    if (stream) {
        h2_stream_body(stream, span_of(bytes, len));
        return 0;
    }
    nghttp2_session_consume(session, id, len);
    h2_conn_due(user);
    return 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)user;
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    struct h2_stream *stream = stream_at(session, frame->hd.stream_id);
    if (stream && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        h2_stream_sent(stream);
    return 0;
}

/* A client that opens streams only to reset them, or makes us reset them, has us work for nothing. */
static void count_reset(struct h2_conn *conn)
{
    uint64_t now = uv_now(conn->server->loop);
    uint64_t passed = (now - conn->resets_ms) * H2_RESETS_A_SECOND / 1000;
    if (passed > 0) {
        conn->resets -= conn->resets < passed ? conn->resets : passed;
        conn->resets_ms = now;
    }
    if (++conn->resets > H2_RESETS_BURST && !conn->final) {
        conn->noticed = conn->final = true;
        nghttp2_session_terminate_session(conn->session, NGHTTP2_ENHANCE_YOUR_CALM);
    }
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct h2_conn *conn = user;
    struct h2_stream *stream = stream_at(session, id);
    if (code != NGHTTP2_NO_ERROR)
        count_reset(conn);
    if (stream)
        h2_stream_over(stream);
    h2_conn_due(conn);
    return 0;
}

static ssize_t frame_room(nghttp2_session *session, uint8_t type, int32_t id, int32_t conn_window, int32_t stream_window,
                          uint32_t frame_max, void *user)
{
    (void)session, (void)type, (void)id, (void)user;
    int32_t room = conn_window < stream_window ? conn_window : stream_window;
    int32_t most = frame_max < H2_READ ? (int32_t)frame_max : (int32_t)H2_READ;
    return room < most ? room : most;
}

/* --- setting up --------------------------------------------------------------------------------- */

int h2_session_prepare(struct h2_server *server)
{
    nghttp2_session_callbacks *c;
    if (nghttp2_option_new(&server->option) != 0 || nghttp2_session_callbacks_new(&c) != 0)
        return -ENOMEM;
    server->callbacks = c;
    nghttp2_option_set_no_auto_window_update(server->option, 1);
    nghttp2_option_set_no_closed_streams(server->option, 1);
    nghttp2_option_set_max_outbound_ack(server->option, ACKS_MAX);
    nghttp2_option_set_max_settings(server->option, SETTINGS_MAX);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_data_source_read_length_callback(c, frame_room);
    nghttp2_session_callbacks_set_send_data_callback(c, h2_reply_send);
    return 0;
}

int h2_session_start(struct h2_conn *conn)
{
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX},
                                               {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
                                               {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_HEAD_MAX}};
    if (nghttp2_session_server_new2(&conn->session, conn->server->callbacks, conn, conn->server->option) != 0)
        return -ENOMEM;
    int rc = nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, settings, sizeof(settings) / sizeof(settings[0]));
    if (rc == 0)
        rc = nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0, H2_CONN_WINDOW);
    return rc == 0 ? 0 : -ENOMEM;
}
