#include "cmd/acks.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clean.h"
#include "base/json.h"
#include "cmd/target.h"

#define ANSWER_MAX 4096
#define DEPTH 1000

/* The text of a member of an object, without its quotes. */
static bool find_member(struct span json, const char *name, struct json_value *out)
{
    struct json_iter it;
    struct span key;
    if (json_validate(json, DEPTH, NULL, NULL) != 0 || json_iter_init(&it, json) != 0)
        return false;
    while (json_iter_next(&it, &key, out))
        if (json_string_is(key, name))
            return true;
    return false;
}

static struct span id_in(struct span line)
{
    struct json_value value;
    if (line.len > 6 && memcmp(line.ptr, "data: ", 6) == 0)
        line = span_of(line.ptr + 6, line.len - 6);
    if (line.len == 0 || line.ptr[0] != '{')
        return line;
    if (!find_member(line, "id", &value) || value.type != JSON_STRING)
        return (struct span){0};
    return span_of(value.raw.ptr + 1, value.raw.len - 2);
}

int acks_add(struct acks *acks, struct span line, struct err *err)
{
    struct frame_id id;
    char text[ID_TEXT_LEN + 2];
    while (line.len > 0 && strchr(" \t\r", line.ptr[line.len - 1]) && line.ptr[line.len - 1])
        line.len--;
    int rc = id_parse(&id, id_in(line), err);
    if (rc < 0)
        return rc;
    id_format(text, id);
    text[ID_TEXT_LEN] = '\n';
    rc = buf_add(&acks->ids, text, ID_TEXT_LEN + 1);
    return rc < 0 ? err_set(err, rc, "out of memory") : 0;
}

static int take_counts(struct acks *acks, struct span json, struct err *err)
{
    struct json_value done, unknown;
    uint64_t n[2];
    if (!find_member(json, strcmp(acks->verb, "ack") == 0 ? "acked" : "nacked", &done) ||
        !find_member(json, "unknown", &unknown) || json_u64(done.raw, &n[0]) != 0 ||
        json_u64(unknown.raw, &n[1]) != 0)
        return err_set(err, ERR_REMOTE, "the daemon's answer is no count");
    acks->done += n[0];
    acks->unknown += n[1];
    return 0;
}

static int make_target(const struct acks *acks, struct buf *target)
{
    int rc = buf_add_str(target, "/groups/");
    if (rc == 0)
        rc = target_segment(target, acks->group);
    if (rc == 0)
        rc = buf_addf(target, "/%s", acks->verb);
    if (rc == 0 && acks->member)
        rc = target_add(target, "member", acks->member);
    if (rc == 0 && acks->upto)
        rc = target_add(target, "upto", acks->upto);
    return rc;
}

int acks_send(struct acks *acks, struct weir *w, struct err *err)
{
    CLEAN_BUF target = BUF_INIT;
    CLEAN_FREE char *text = NULL;
    struct weir_response res;
    size_t len;
    if (acks->ids.len == 0 && !acks->upto)
        return 0;
    if (make_target(acks, &target) != 0)
        return err_set(err, -ENOMEM, "out of memory");
    const struct weir_request req = {.method = "POST",
                                     .target = target_text(&target),
                                     .body = buf_span(&acks->ids),
                                     .has_body = true,
                                     .replay_safe = strcmp(acks->verb, "ack") == 0};
    int rc = weir_request(w, &req, &res, err);
    if (rc == 0 && res.status == 404)
        rc = err_set(err, ERR_NOT_FOUND, "no group %s", acks->group);
    if (rc == 0)
        rc = weir_check(w, &res, err);
    if (rc == 0)
        rc = weir_read_all(w, &text, &len, ANSWER_MAX, err);
    buf_reset(&acks->ids);
    return rc == 0 ? take_counts(acks, span_of(text, len), err) : rc;
}

void acks_finish(struct acks *acks)
{
    buf_finish(&acks->ids);
}
