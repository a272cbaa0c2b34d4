/*
 * Requests and answers over one kept connection.
 */
#include "client/http.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/json.h"
#include "base/text.h"
#include "client/conn.h"

#define ERROR_BODY_MAX (64 * 1024)

static void hang_up(struct weir *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    w->busy = w->spoiled = false;
    w->in_at = w->in_end = 0;
}

static char *dup_or_null(const char *text, bool *failed)
{
    char *copy = text ? strdup(text) : NULL;

    if (text && !copy)
        *failed = true;
    return copy;
}

int weir_open(struct weir **out, const struct weir_addr *addr, struct err *err)
{
    struct weir *w = malloc(sizeof(*w));
    bool failed = false;

    if (!w)
        return err_set(err, -ENOMEM, "no memory for a connection");
    /* Not calloc: the receive buffer's pages need not be touched. */
    memset(w, 0, offsetof(struct weir, in));
    w->fd = -1;
    w->addr = *addr;
    w->addr.path = dup_or_null(addr->path, &failed);
    w->addr.host = dup_or_null(addr->host, &failed);
    w->addr.basic_auth = dup_or_null(addr->basic_auth, &failed);
    w->addr.token = dup_or_null(addr->token, &failed);
    w->addr.shown = dup_or_null(addr->shown, &failed);
    if (failed) {
        weir_close(w);
        return err_set(err, -ENOMEM, "no memory for a connection");
    }
    *out = w;
    return 0;
}

void weir_close(struct weir *w)
{
    if (!w)
        return;
    hang_up(w);
    weir_addr_finish(&w->addr);
    answer_finish(&w->answer);
    buf_finish(&w->head);
    free(w);
}

/* --- receiving -------------------------------------------------------------------------------- */

long http_fill(struct weir *w, int flags)
{
    ssize_t n;

    do
        n = recv(w->fd, w->in, sizeof(w->in), flags);
    while (n < 0 && errno == EINTR);
    w->in_at = 0;
    w->in_end = n > 0 ? (size_t)n : 0;
    return n < 0 ? -errno : n;
}

static struct span received(const struct weir *w)
{
    return span_of(w->in + w->in_at, w->in_end - w->in_at);
}

int http_take_head(struct weir *w, struct err *err)
{
    size_t used = 0;
    int rc = answer_head(&w->answer, received(w), &used, err);

    w->in_at += used;
    if (rc == -EPROTO)
        err_prefix(err, "%s", w->addr.shown);
    return rc;
}

/* Waits for more of the answer. 0, or why there is none; a reset counts as an end. */
static int receive(struct weir *w, struct err *err)
{
    long n = http_fill(w, 0);

    if (n > 0)
        return 0;
    if (n < 0 && n != -ECONNRESET)
        return err_sys(err, (int)-n, "receive from %s", w->addr.shown);
    if (n < 0 && w->answer.part == ANSWER_TO_END)
        return err_set(err, ERR_CUT, "the connection to %s was reset in the middle of the answer",
                       w->addr.shown);
    int rc = answer_eof(&w->answer, err);
    if (rc < 0)
        err_prefix(err, "%s", w->addr.shown);
    return rc;
}

/* After the last body byte: the connection is kept when both sides mean to and nothing stands over.
 */
static void end_answer(struct weir *w)
{
    w->busy = false;
    if (w->spoiled || !w->answer.keep || w->in_at < w->in_end)
        hang_up(w);
}

static long break_answer(struct weir *w, long code, const struct err *why, struct err *err)
{
    hang_up(w);
    w->broken = *why;
    w->broken.code = (int)code;
    return err_set(err, (int)code, "%s", why->text);
}

long weir_read(struct weir *w, void *into, size_t room, struct err *err)
{
    struct err why = ERR_INIT;
    size_t used;

    if (w->broken.code != 0)
        return err_set(err, w->broken.code, "%s", w->broken.text);
    while (w->busy && room > 0) {
        long n = answer_body(&w->answer, received(w), &used, into, room, &why);
        if (n >= 0) {
            w->in_at += used;
            if (w->answer.part == ANSWER_ENDED)
                end_answer(w);
        }
        if (n == 0 && w->busy)
            n = receive(w, &why);
        if (n != 0)
            return n > 0 ? n : break_answer(w, n, &why, err);
        if (w->busy && w->answer.part == ANSWER_ENDED)
            end_answer(w);
    }
    return 0;
}

bool weir_ready(const struct weir *w)
{
    return !w->busy || w->in_at < w->in_end;
}

int weir_fd(const struct weir *w)
{
    return w->fd;
}

/* --- one request ------------------------------------------------------------------------------ */

/* Leaves the answer before behind: what of it has come already is taken, a rest ends the
 * connection. */
static void settle(struct weir *w)
{
    uint8_t waste[4096];
    size_t used;

    while (w->busy) {
        long n = answer_body(&w->answer, received(w), &used, waste, sizeof(waste), NULL);
        w->in_at += n < 0 ? 0 : used;
        if (n >= 0 && w->answer.part == ANSWER_ENDED)
            end_answer(w);
        else if (n <= 0)
            hang_up(w);
    }
    w->broken = ERR_INIT;
}

static bool is_lookup(const struct weir_request *req)
{
    return strcmp(req->method, "GET") == 0 || strcmp(req->method, "HEAD") == 0;
}

static bool may_replay(const struct weir_request *req)
{
    return req->replay_safe && !req->read;
}

/* Sends, and reads the answer's head. ERR_CUT when the connection ends before the head does. */
static int exchange(struct weir *w, const struct weir_request *req, struct err *err)
{
    int rc;
    int stopped;

    answer_reset(&w->answer, strcmp(req->method, "HEAD") == 0);
    w->in_at = w->in_end = 0;
    stopped = upload_send(w, req, err);
    if (stopped < 0)
        return stopped;
    for (;;) {
        rc = w->answer.part > ANSWER_FIELDS ? 1 : http_take_head(w, err);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        rc = receive(w, err);
        if (rc < 0)
            break;
    }
    if (rc != ERR_CUT || is_lookup(req) || req->replay_safe)
        return rc;
    if (stopped)
        return err_set(err, ERR_CUT, "%s hung up before it had the whole request", w->addr.shown);
    return err_set(
        err, ERR_UNKNOWN,
        "%s hung up before it answered: the request may or may not have been carried out",
        w->addr.shown);
}

/* A kept connection that the server closed meanwhile must not cost a request that cannot be
 * replayed. */
static int connect_for(struct weir *w, const struct weir_request *req, bool *kept, struct err *err)
{
    if (w->fd >= 0 && !may_replay(req) && !conn_is_alive(w->fd))
        hang_up(w);
    *kept = w->fd >= 0;
    if (*kept)
        return 0;
    return conn_dial(&w->fd, &w->addr, err);
}

static void describe(const struct weir *w, struct weir_response *out)
{
    const char *type = answer_field(&w->answer, "content-type");

    *out = (struct weir_response){.status = w->answer.status,
                                  .content_type = type ? type : "",
                                  .has_length = w->answer.has_length,
                                  .length = w->answer.length};
}

int weir_request(struct weir *w, const struct weir_request *req, struct weir_response *out,
                 struct err *err)
{
    bool kept;
    int rc;

    settle(w);
    rc = upload_write_head(w, req, err);
    if (rc < 0)
        return rc;
    do {
        rc = connect_for(w, req, &kept, err);
        if (rc < 0)
            return rc;
        rc = exchange(w, req, err);
        if (rc < 0)
            hang_up(w);
    } while (rc == ERR_CUT && kept && may_replay(req) && !w->answer.begun);
    if (rc < 0) {
        /* A reader that goes on all the same must not take this for an empty body. */
        w->broken = (struct err){.code = rc, .text = "the request before failed"};
        return rc;
    }
    w->busy = true;
    describe(w, out);
    if (w->answer.part == ANSWER_ENDED)
        end_answer(w);
    return 0;
}

const char *weir_response_header(struct weir *w, const char *name)
{
    return answer_field(&w->answer, name);
}

const char *weir_response_trailer(struct weir *w, const char *name)
{
    return answer_trailer(&w->answer, name);
}

int weir_read_all(struct weir *w, char **out, size_t *len, size_t max, struct err *err)
{
    CLEAN_BUF all = BUF_INIT;
    long n;

    do {
        if (buf_reserve(&all, all.len + 4096) < 0)
            return err_set(err, -ENOMEM, "no memory for an answer");
        n = weir_read(w, all.ptr + all.len, all.cap - all.len, err);
        all.len += n > 0 ? (size_t)n : 0;
    } while (n > 0 && all.len <= max);
    if (n < 0)
        return (int)n;
    if (all.len > max)
        return err_set(err, ERR_TOO_LARGE, "the answer is over %zu bytes", max);
    if (!buf_cstr(&all))
        return err_set(err, -ENOMEM, "no memory for an answer");
    *out = (char *)all.ptr;
    if (len)
        *len = all.len;
    all = BUF_INIT;
    return 0;
}

/* --- errors of the other side ----------------------------------------------------------------- */

static int status_code(int status)
{
    static const struct {
        int status;
        int code;
    } known[] = {
        {400, ERR_INVALID},     {401, ERR_AUTH}, {403, ERR_FORBIDDEN}, {404, ERR_NOT_FOUND},
        {409, ERR_CONFLICT},    {412, ERR_CONDITION}, {413, ERR_TOO_LARGE}, {416, ERR_RANGE},
        {503, ERR_UNAVAILABLE}, {507, ERR_FULL},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].status == status)
            return known[i].code;
    }
    return ERR_REMOTE;
}

/* Finds "message" of {"error":..,"message":..}; also corrects the code for stored damage. */
static bool take_message(struct span body, struct buf *message, int *code)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    bool found = false;

    if (json_validate(body, META_DEPTH, NULL, NULL) < 0 || json_type_of(body) != JSON_OBJECT ||
        json_iter_init(&it, body) < 0)
        return false;
    while (json_iter_next(&it, &key, &value)) {
        if (value.type != JSON_STRING)
            continue;
        if (json_string_is(key, "message"))
            found = json_string_decode(value.raw, message, NULL) == 0;
        else if (json_string_is(key, "error") && json_string_is(value.raw, "damaged"))
            *code = ERR_DAMAGED;
    }
    return found && message->len > 0;
}

/* One harmless line of what the server said; empty when it said nothing. */
static const char *first_line(struct buf *line, struct span text)
{
    const uint8_t *end = text.len > 0 ? memchr(text.ptr, '\n', text.len) : NULL;
    struct span cut = span_of(text.ptr, end ? (size_t)(end - text.ptr) : text.len);
    const char *shown = NULL;

    if (text_neutralise(line, cut) == 0)
        shown = buf_cstr(line);
    return shown ? shown : "";
}

int weir_check(struct weir *w, const struct weir_response *res, struct err *err)
{
    CLEAN_FREE char *body = NULL;
    CLEAN_BUF message = BUF_INIT;
    CLEAN_BUF line = BUF_INIT;
    int status = res->status;
    int code = status_code(status);
    size_t len = 0;

    if (status >= 200 && status <= 299)
        return 0;
    /* The status is known; an error text that is cut or too long must not hide it. */
    if (weir_read_all(w, &body, &len, ERROR_BODY_MAX, NULL) < 0)
        len = 0;
    struct span said = span_of(body, len);
    if (take_message(said, &message, &code))
        said = buf_span(&message);
    else if (len > 0 && body[0] == '{')
        said = span_of(NULL, 0); /* JSON without a message says nothing to people */
    const char *text = first_line(&line, said);
    if (!text[0])
        return err_set(err, code, "%s (HTTP status %d)", err_code_text(code), status);
    if (status == 401 && w->addr.kind == WEIR_TCP)
        return err_set(err, code, w->addr.token ? "%s (it is the one in WEIR_TOKEN)" : "%s; set WEIR_TOKEN to one", text);
    return err_set(err, code, "%s", text);
}
