/*
 * Answers of the S2 API.
 */
#include "base/s2/coding.h"
#include "daemon/s2/s2.h"

#define PACK_FROM 1024 /* longer bodies are compressed */
#define FIELDS_MAX 8

/* The body as it is to be sent, maybe in `room`; the coding's name or NULL. What cannot be packed goes as it is. */
static const char *pack(struct s2_request *s, struct span *body, struct buf *room)
{
    if (body->len <= PACK_FROM)
        return NULL;
    const enum coding coding = coding_choose(http_header(s->x.req, "accept-encoding"));
    if (coding == CODING_NONE || coding_pack(room, coding, *body) < 0)
        return NULL;
    *body = buf_span(room);
    return coding_name(coding);
}

void s2_reply(struct s2_request *s, int status, const char *type, struct span body,
              const struct http_field *fields)
{
    struct http_field all[FIELDS_MAX + 2] = {{NULL, NULL}};
    CLEAN_BUF packed = BUF_INIT;
    size_t count = 0;
    if (!exchange_open(&s->x))
        return;
    for (; fields && fields->name && count < FIELDS_MAX; fields++)
        all[count++] = *fields;
    const char *coding = type ? pack(s, &body, &packed) : NULL;
    if (coding)
        all[count++] = (struct http_field){"Content-Encoding", coding};
    all[count] = (struct http_field){NULL, NULL};
    exchange_reply(&s->x, status, type, body, all);
}

bool s2_stream(struct s2_request *s, const char *type,
               long (*read)(void *arg, struct http_req *req, uint8_t *into, size_t room))
{
    static const struct http_field fields[] = {{"Cache-Control", "no-cache, no-transform"},
                                               {"X-Accel-Buffering", "no"},
                                               {NULL, NULL}};
    return exchange_stream(&s->x, type, UINT64_MAX, read, fields);
}
