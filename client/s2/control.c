/* The control plane: JSON in, JSON out. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/text.h"
#include "client/s2/backoff.h"
#include "client/s2/request.h"

static int put_path(struct buf *out, const struct weir_s2_request *r)
{
    int rc = buf_addf(out, "/%s", r->collection);
    const char *names[] = {r->name, r->name2};
    for (size_t i = 0; rc == 0 && i < 2; i++) {
        if (!names[i])
            continue;
        rc = buf_add_str(out, "/");
        if (rc == 0)
            rc = uri_encode(out, span_str(names[i]), "");
    }
    if (rc == 0 && r->query && r->query[0])
        rc = buf_addf(out, "?%s", r->query);
    return rc;
}

static int hand_over(struct s2c_answer *from, struct weir_s2_answer *out, struct weir_s2_err *err)
{
    if (!buf_cstr(&from->body))
        return s2c_no_memory(err);
    *out = (struct weir_s2_answer){
        .body = (char *)from->body.ptr, .len = from->body.len, .status = from->status};
    memcpy(out->provision, from->provision, sizeof(out->provision));
    from->body = BUF_INIT;
    return 0;
}

int weir_s2_call(struct weir_s2 *s2, const struct weir_s2_request *request,
                 struct weir_s2_answer *out, struct weir_s2_err *err)
{
    CLEAN_BUF path = BUF_INIT;
    struct s2c_answer answer = {0};
    char token[25];
    bool making = strcmp(request->method, "POST") == 0;
    s2c_random_name(token, sizeof(token) - 1);
    if (put_path(&path, request) != 0)
        return s2c_no_memory(err);
    struct s2c_request r = {
        .method = request->method,
        .basin = request->basin,
        .path = buf_span(&path),
        .accept = "application/json",
        .content_type = request->json ? "application/json" : NULL,
        .body = span_str(request->json),
        .has_body = request->json != NULL,
        .request_token = request->request_token ? request->request_token
                         : making               ? token
                                                : NULL,
    };
    int rc = s2c_request(s2, &r, &answer, err);
    if (rc == 0)
        rc = hand_over(&answer, out, err);
    s2c_answer_finish(&answer);
    return rc;
}

void weir_s2_answer_finish(struct weir_s2_answer *answer)
{
    free(answer->body);
    answer->body = NULL;
}

static int simple(struct weir_s2 *s2, const struct weir_s2_request *request,
                  struct weir_s2_err *err)
{
    struct weir_s2_answer answer = {0};
    int rc = weir_s2_call(s2, request, &answer, err);
    weir_s2_answer_finish(&answer);
    return rc;
}

int weir_s2_basin_ensure(struct weir_s2 *s2, const char *basin, const char *config,
                         struct weir_s2_err *err)
{
    CLEAN_BUF json = BUF_INIT;
    if (buf_addf(&json, "{\"config\":%s}", config ? config : "{}") != 0 || !buf_cstr(&json))
        return s2c_no_memory(err);
    return simple(
        s2,
        &(struct weir_s2_request){
            .method = "PUT", .collection = "basins", .name = basin, .json = (char *)json.ptr},
        err);
}

int weir_s2_basin_delete(struct weir_s2 *s2, const char *basin, struct weir_s2_err *err)
{
    return simple(
        s2, &(struct weir_s2_request){.method = "DELETE", .collection = "basins", .name = basin},
        err);
}

int weir_s2_stream_ensure(struct weir_s2 *s2, const char *basin, const char *stream,
                          const char *config, struct weir_s2_err *err)
{
    return simple(s2,
                  &(struct weir_s2_request){.method = "PUT",
                                            .collection = "streams",
                                            .name = stream,
                                            .basin = basin,
                                            .json = config ? config : "{}"},
                  err);
}

int weir_s2_stream_delete(struct weir_s2 *s2, const char *basin, const char *stream,
                          struct weir_s2_err *err)
{
    return simple(s2,
                  &(struct weir_s2_request){
                      .method = "DELETE", .collection = "streams", .name = stream, .basin = basin},
                  err);
}
