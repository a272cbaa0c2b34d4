#include "bridge/relay/weir_group.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/text.h"
#include "base/topic.h"

#define WINDOW 1000 /* frames open at once: as many as the store allows */
#define DELAY_US UINT64_C(5000000)
#define ANSWER_MAX 4096
#define LOOK_MAX ((size_t)16 * 1024 * 1024) /* a group says who its members are */

struct relay_group {
    char *name, *member;
    enum ss_commit commit;
    enum relay_start start;
    uint64_t value;
    struct buf given;   /* ids, a line each: not settled */
    struct buf done;    /* settled, not acknowledged */
    uint64_t since_us;  /* the oldest of them */
    struct buf back;    /* to be handed back */
    bool fresh;         /* it was not there yet */
};

/* --- names ---------------------------------------------------------------------------------------- */

/* HOST_ID of the environment, or the host's name, as a group's name may have it. */
static char *default_name(bool balanced)
{
    char host[256] = "";
    char *name = NULL;
    const char *said = getenv("HOST_ID");
    if (said && said[0])
        snprintf(host, sizeof(host), "%.200s", said);
    else if (gethostname(host, sizeof(host) - 1) != 0)
        snprintf(host, sizeof(host), "localhost");
    for (char *p = host; *p; p++)
        if (!memchr("-_.", *p, 3) && !(*p >= '0' && *p <= '9') && !(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z'))
            *p = '-';
    return asprintf(&name, "relay.%.200s.%c", host, balanced ? 's' : 'r') < 0 ? NULL : name;
}

static int set_names(struct relay_group *group, const struct relay_options *o)
{
    bool balanced = o->mode == SS_BALANCED;
    const char *member = o->member ? o->member : balanced ? NULL : "only";
    group->name = o->group ? strdup(o->group) : default_name(balanced);
    group->member = member ? strdup(member) : NULL;
    return group->name && (!member || group->member) ? 0 : -ENOMEM;
}

static int check(char *const *keys, size_t key_count, const struct relay_options *o, struct err *err)
{
    for (size_t i = 0; i < key_count; i++)
        if (topic_check(span_str(keys[i]), NULL) < 0)
            return err_set(err, ERR_INVALID, "weir: %s is no topic, and groups read topics alone; use mode realtime", keys[i]);
    if (o->start == RELAY_SEQ)
        return err_set(err, ERR_INVALID, "weir: a group begins at start, end or a time");
    if (o->has_commit && o->commit == SS_COMMIT_DISABLED)
        return err_set(err, ERR_INVALID, "--commit disabled: nobody else acknowledges a store's frames; they would come again and again");
    return 0;
}

static int look(struct relay_group *group, struct relay_store *store, struct err *err)
{
    CLEAN_BUF target = BUF_INIT;
    CLEAN_FREE char *text = NULL;
    struct weir_response res;
    if (buf_add_str(&target, "/groups/") < 0 || uri_encode(&target, span_str(group->name), "") < 0 || !buf_cstr(&target))
        return err_set(err, -ENOMEM, "no memory for a request");
    const struct weir_request req = {.method = "GET", .target = (const char *)target.ptr, .replay_safe = true};
    int rc = weir_request(store->w, &req, &res, err);
    group->fresh = rc == 0 && res.status == 404;
    if (rc == 0 && !group->fresh)
        rc = weir_check(store->w, &res, err);
    return rc == 0 ? weir_read_all(store->w, &text, NULL, LOOK_MAX, err) : rc;
}

static int look_patiently(struct relay_group *group, struct relay_store *store, struct err *err)
{
    int rc;
    while ((rc = look(group, store, err)) < 0 && (rc = relay_store_again(store, rc, err)) == 0)
        ;
    return rc;
}

int relay_group_open(struct relay_group **out, char *const *keys, size_t key_count, const struct relay_options *o, struct relay_store *store,
                     struct err *err)
{
    int rc = check(keys, key_count, o, err);
    if (rc < 0)
        return rc;
    struct relay_group *group = calloc(1, sizeof(*group));
    if (!group)
        return -ENOMEM;
    group->commit = o->has_commit ? o->commit : SS_COMMIT_ROLLING;
    group->start = o->start;
    group->value = o->value;
    rc = set_names(group, o);
    if (rc == 0)
        rc = look_patiently(group, store, err);
    if (rc == 0)
        *out = group;
    else
        relay_group_close(group, NULL);
    return rc;
}

/* --- the read ------------------------------------------------------------------------------------- */

static int add_text(struct buf *target, const char *name, const char *value)
{
    int rc = buf_addf(target, "&%s=", name);
    return rc == 0 ? uri_encode(target, span_str(value), "") : rc;
}

int relay_group_query(const struct relay_group *group, struct buf *target)
{
    char time[TIME_TEXT_MAX];
    int rc = add_text(target, "group", group->name);
    if (rc == 0 && group->member)
        rc = add_text(target, "member", group->member);
    if (rc == 0)
        rc = buf_addf(target, "&ack=manual&window=%d", WINDOW);
    if (rc == 0 && group->fresh)
        rc = buf_add_str(target, "&max=0");
    if (rc == 0 && group->start == RELAY_END)
        rc = buf_add_str(target, "&new");
    if (rc == 0 && group->start == RELAY_TIME) {
        time_format(time, group->value + 1);
        rc = add_text(target, "since", time);
    }
    return rc;
}

static int add_id(struct buf *lines, struct frame_id id)
{
    char text[ID_TEXT_LEN + 1];
    id_format(text, id);
    text[ID_TEXT_LEN] = '\n';
    return buf_add(lines, text, ID_TEXT_LEN + 1);
}

int relay_group_given(struct relay_group *group, struct frame_id id)
{
    return add_id(&group->given, id);
}

int relay_group_unread(struct relay_group *group, struct frame_id id)
{
    return add_id(&group->back, id);
}

/* --- acknowledgements ----------------------------------------------------------------------------- */

static int post_ids(const struct relay_group *group, const char *verb, struct span ids, struct relay_store *store, struct err *err)
{
    CLEAN_BUF target = BUF_INIT;
    CLEAN_FREE char *text = NULL;
    struct weir_response res;
    if (buf_addf(&target, "/groups/") < 0 || uri_encode(&target, span_str(group->name), "") < 0 || buf_add_str(&target, verb) < 0 ||
        !buf_cstr(&target))
        return err_set(err, -ENOMEM, "no memory for a request");
    const struct weir_request req = {.method = "POST",
                                     .target = (const char *)target.ptr,
                                     .body = ids,
                                     .has_body = true,
                                     .replay_safe = true};
    int rc = weir_request(store->w, &req, &res, err);
    if (rc == 0)
        rc = weir_check(store->w, &res, err);
    return rc == 0 ? weir_read_all(store->w, &text, NULL, ANSWER_MAX, err) : rc;
}

static int acknowledge(struct relay_group *group, struct relay_store *store, struct err *err)
{
    int rc = 0;
    if (group->done.len == 0)
        return 0;
    while ((rc = post_ids(group, "/ack", buf_span(&group->done), store, err)) < 0 && (rc = relay_store_again(store, rc, err)) == 0)
        ;
    if (rc < 0)
        return rc;
    relay_store_answered(store);
    buf_reset(&group->done);
    return 0;
}

static int mark_done(struct relay_group *group, struct err *err)
{
    if (group->given.len == 0)
        return 0;
    if (group->done.len == 0)
        group->since_us = time_mono_us();
    if (buf_add_span(&group->done, buf_span(&group->given)) < 0)
        return err_set(err, -ENOMEM, "no memory for acknowledgements");
    buf_reset(&group->given);
    return 0;
}

static bool is_due(const struct relay_group *group)
{
    return group->commit != SS_COMMIT_DELAYED || time_mono_us() - group->since_us >= DELAY_US ||
           group->done.len >= (size_t)(WINDOW / 2) * (ID_TEXT_LEN + 1); /* the window must not stay shut */
}

int relay_group_filled(struct relay_group *group, struct relay_store *store, struct err *err)
{
    int rc = group->commit == SS_COMMIT_IMMEDIATE ? mark_done(group, err) : 0;
    return rc == 0 && is_due(group) ? acknowledge(group, store, err) : rc;
}

int relay_group_settle(struct relay_group *group, struct relay_store *store, struct err *err)
{
    int rc = mark_done(group, err);
    return rc == 0 && is_due(group) ? acknowledge(group, store, err) : rc;
}

/* Nobody waits for a timeout then. What went over and is not settled comes again, too. */
static void hand_back(struct relay_group *group, struct relay_store *store)
{
    struct err err = ERR_INIT;
    if (buf_add_span(&group->back, buf_span(&group->given)) == 0 && group->back.len > 0 &&
        post_ids(group, "/nack", buf_span(&group->back), store, &err) < 0)
        relay_say("frames of group %s were not handed back, and wait for its timeout: %s", group->name, err.text);
}

void relay_group_close(struct relay_group *group, struct relay_store *store)
{
    struct err err = ERR_INIT;
    if (!group)
        return;
    if (store && group->done.len > 0 && post_ids(group, "/ack", buf_span(&group->done), store, &err) < 0)
        relay_say("acknowledgements of group %s were not taken: %s", group->name, err.text);
    if (store)
        hand_back(group, store);
    buf_finish(&group->given);
    buf_finish(&group->done);
    buf_finish(&group->back);
    free(group->name);
    free(group->member);
    free(group);
}
