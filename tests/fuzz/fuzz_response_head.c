/*
 * The meta of an http.response, as a program may write it: what is accepted has a status that ends a request, and fields that
 * cannot begin a line of their own.
 */
#include <stdlib.h>

#include "base/json.h"
#include "daemon/serve/request.h"
#include "daemon/serve/response_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void look(const char *text)
{
    demand(text[0] != '\0' && !strpbrk(text, "\r\n\t"));
}

static void check_head(struct span meta)
{
    struct response_head head;
    struct err err = ERR_INIT;
    if (response_head_parse(&head, meta, &err) < 0) {
        demand(err.code == ERR_INVALID);
        return;
    }
    demand(head.status >= 200 && head.status <= 599);
    for (const struct http_field *field = head.fields; field->name; field++) {
        look(field->name);
        look(field->value);
        demand(!strchr(field->name, ':') && !strchr(field->name, ' '));
    }
    response_head_finish(&head);
}

static void check_query(struct span raw)
{
    struct buf out = BUF_INIT;
    demand(request_query(&out, raw) == 0);
    demand(json_validate(buf_span(&out), META_DEPTH, NULL, NULL) == 0);
    buf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);
    struct buf meta = BUF_INIT;
    struct response_tag tag;
    check_query(text);
    if (json_validate(text, META_DEPTH, &meta, NULL) == 0) {
        const struct frame frame = {.meta = buf_span(&meta)};
        (void)response_tag(&tag, &frame);
        if (json_type_of(buf_span(&meta)) == JSON_OBJECT)
            check_head(buf_span(&meta));
    }
    buf_finish(&meta);
    return 0;
}
