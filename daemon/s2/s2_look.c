/*
 * A stream as it is, and how it comes to be when it is not there.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "daemon/s2/s2.h"

/* --- how it is made ---------------------------------------------------------------------------------- */

/* What s2-stream-config asks for: whole or not at all. */
static int asked_config(struct s2_request *s, struct s2_stream_config *out)
{
    struct err err = ERR_INIT;
    struct span header = http_header(s->x.req, "s2-stream-config");
    if (!header.ptr)
        return 0;
    int rc = s2_stream_config_read(out, header, S2_CONFIG_WHOLE, &err);
    if (rc < 0)
        s2_fail(s, rc == -ENOMEM ? S2_OTHER : S2_BAD_HEADER, "s2-stream-config: %s", err.text);
    return rc < 0 ? -1 : 0;
}

static bool makes(const struct s2_request *s, enum s2_auto how)
{
    if (how == S2_AUTO_NOT || !s->basin || basin_deleting(s->basin))
        return false;
    const struct s2_basin_config *config = basin_config(s->basin);
    return how == S2_AUTO_APPEND ? config->create_on_append : config->create_on_read;
}

int s2_making(struct s2_request *s, enum s2_auto how, struct s2_making *room, const struct topic_make **out)
{
    struct s2_stream_config asked = {0};
    *room = (struct s2_making){0};
    *out = NULL;
    if (how != S2_AUTO_NOT && asked_config(s, &asked) < 0)
        return -1;
    if (!makes(s, how))
        return 0;
    const struct s2_basin_config *config = basin_config(s->basin);
    struct s2_stream_config resolved = s2_stream_config_resolve(&asked, &config->defaults);
    struct s2_stream_note note = {.cipher = config->cipher};
    memcpy(note.storage_class, resolved.storage_class, sizeof(note.storage_class));
    if (s2_stream_note_put(&room->note, &note) < 0) {
        s2_fail(s, S2_OTHER, "no memory for the stream");
        return -1;
    }
    room->make = (struct topic_make){.rules = s2_rules_of(&resolved), .note = buf_span(&room->note)};
    *out = &room->make;
    return 0;
}

void s2_making_finish(struct s2_making *room)
{
    buf_finish(&room->note);
}

/* --- the look ------------------------------------------------------------------------------------------ */

struct s2_look {
    struct submission submission;
    struct store_topic_op topic;
    struct s2_making making;
    struct s2_request *s;
    void (*looked)(struct s2_request *s, const struct store_topic *topic);
};

static void done(struct submission *submission)
{
    struct s2_look *look = (struct s2_look *)((char *)submission - offsetof(struct s2_look, submission));
    struct s2_request *s = look->s;
    s->looking = NULL;
    if (exchange_open(&s->x) && submission->op.result < 0)
        s2_refused(s, &submission->op);
    else if (exchange_open(&s->x))
        look->looked(s, &look->topic.view);
    s2_making_finish(&look->making);
    free(look);
    exchange_drop(&s->x);
}

static void submit(struct s2_look *look, const struct topic_make *make)
{
    struct s2_request *s = look->s;
    look->topic.deed = TOPIC_LOOK;
    look->topic.name = buf_span(&s->stream);
    look->topic.make = make;
    look->submission.after = done;
    look->submission.op.kind = STORE_TOPIC;
    look->submission.op.authority = exchange_authority(&s->x);
    look->submission.op.topic = &look->topic;
    s->looking = look;
    exchange_hold(&s->x);
    submit_op(&s->x.site->source, &look->submission);
}

void s2_look(struct s2_request *s, enum s2_auto how, void (*looked)(struct s2_request *s, const struct store_topic *topic))
{
    const struct topic_make *make;
    struct s2_look *look = calloc(1, sizeof(*look));
    if (!look) {
        s2_fail(s, S2_OTHER, "no memory for the stream");
        return;
    }
    look->s = s;
    look->looked = looked;
    if (s2_making(s, how, &look->making, &make) == 0) {
        submit(look, make);
        return;
    }
    s2_making_finish(&look->making);
    free(look);
}
