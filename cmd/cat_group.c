#include "cmd/cat_group.h"

#include <errno.h>
#include <string.h>

#include "cmd/acks.h"
#include "cmd/human.h"
#include "cmd/output.h"

#define WINDOW_DEFAULT 100 /* the daemon's */

struct copying {
    struct cat_group *group;
    struct output_lines lines;
    struct acks acks;
    struct acks nacks; /* what no line can hold is given back at the end */
    uint64_t held;     /* of these, */
    bool too_many;     /* and they fill half the window */
    struct weir *back; /* acknowledgements go by a connection of their own */
    bool people;
};

static bool is_frame(struct span line, bool events)
{
    const char *begin = events ? "data: {" : "{";
    size_t len = strlen(begin);
    return line.len >= len && memcmp(line.ptr, begin, len) == 0;
}

static int take_as_line(struct copying *c, struct span line, struct buf *text)
{
    struct cat_lines *lines = c->group->lines;
    uint64_t refused = lines->refused;
    int rc = cat_lines_add(lines, line, text);
    c->group->frames = lines->frames;
    if (c->group->by_hand || rc < 0 || (rc == CAT_LINES_NONE && lines->refused == refused))
        return rc < 0 ? rc : 0;
    c->held += rc != 0;
    return acks_add(rc == 0 ? &c->acks : &c->nacks, line, NULL);
}

static int take_line(void *arg, struct span line, struct buf *text)
{
    struct copying *c = arg;
    int rc = 0;
    if (c->group->lines)
        return take_as_line(c, line, text);
    if (is_frame(line, c->group->events)) {
        c->group->frames++;
        rc = c->group->by_hand ? 0 : acks_add(&c->acks, line, NULL);
    }
    if (rc != 0)
        return rc;
    if (c->people && !c->group->events)
        return human_frame(text, line);
    rc = c->people ? human_bytes(text, line) : buf_add_span(text, line);
    return rc == 0 ? buf_add_str(text, "\n") : -ENOMEM;
}

/* Frames that are held back take room in the window. */
static int check_held(struct copying *c, struct err *err)
{
    uint64_t window = c->group->window ? c->group->window : WINDOW_DEFAULT;
    c->too_many = c->held > 0 && c->held >= window / 2;
    if (!c->too_many)
        return 0;
    return err_set(err, ERR_INVALID, "%llu frames that no line can hold go back to the group; --odd raw or json prints them",
                   (unsigned long long)c->held);
}

/* First written, then acknowledged: what is lost on the way out comes again. */
static int take_bytes(void *arg, struct span bytes, struct err *err)
{
    struct copying *c = arg;
    int rc = output_each_line(&c->lines, bytes, err);
    if (rc == 0 && !c->group->by_hand)
        rc = acks_send(&c->acks, c->back, err);
    return rc == 0 ? check_held(c, err) : rc;
}

int cat_group_copy(const struct call *call, struct weir *w, struct cat_group *g, struct err *err)
{
    struct copying c = {.group = g,
                        .acks = {.verb = "ack", .group = g->group},
                        .nacks = {.verb = "nack", .group = g->group},
                        .people = call_for_people(call)};
    c.lines = (struct output_lines){.line = take_line, .arg = &c};
    int rc = g->by_hand || call_open(call, &c.back) == 0
                 ? 0
                 : err_set(err, -ENOTCONN, "no connection to acknowledge by");
    if (rc == 0)
        rc = output_copy(w, take_bytes, &c, err);
    if ((rc >= 0 || c.too_many) && c.nacks.ids.len > 0) {
        int given = acks_send(&c.nacks, c.back, c.too_many ? NULL : err);
        rc = given != 0 ? given : rc;
    }
    weir_close(c.back);
    acks_finish(&c.acks);
    acks_finish(&c.nacks);
    output_lines_finish(&c.lines);
    return rc;
}
