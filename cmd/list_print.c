#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/text.h"
#include "cmd/list.h"
#include "cmd/output.h"

static bool is_chosen(const struct life *life, const struct list_choice *choice)
{
    if (life->state == STATE_UNKNOWN || (life->state == STATE_ENDED && !choice->ended))
        return false;
    return (choice->kind < 0 || choice->kind == (int)life->kind) &&
           (!choice->name || span_is(buf_span(&life->name), choice->name));
}

static uint64_t since_ms(const struct life *life)
{
    struct frame_id id;
    return id_parse(&id, span_str(life->since), NULL) == 0 ? id_time_ms(id) : 0;
}

/* --- JSON --------------------------------------------------------------------------------------------- */

static int put_member(struct buf *out, const char *key, struct span text)
{
    int rc = buf_addf(out, "%s\"%s\":", out->ptr[out->len - 1] == '{' ? "" : ",", key);
    return rc == 0 ? json_put_string(out, text) : rc;
}

static int put_some(struct buf *out, const char *key, const struct buf *text)
{
    return text->len > 0 ? put_member(out, key, buf_span(text)) : 0;
}

static int put_json(struct buf *out, const struct life *life)
{
    char since[TIME_TEXT_MAX];
    const char *id = life_definition(life);
    time_format(since, since_ms(life));
    int rc = buf_add_str(out, "{");
    if (rc == 0)
        rc = put_member(out, "kind", span_str(life_kind_name(life->kind)));
    if (rc == 0)
        rc = put_member(out, "name", buf_span(&life->name));
    if (rc == 0)
        rc = put_member(out, "state", span_str(life_state_name(life->state)));
    if (rc == 0)
        rc = put_member(out, "since", span_str(since));
    if (rc == 0)
        rc = put_member(out, "id", span_str(id));
    if (rc == 0 && life->pending && strcmp(id, life->asked) != 0)
        rc = put_member(out, "pending", span_str(life->asked));
    if (rc == 0)
        rc = put_some(out, "path", &life->path);
    if (rc == 0)
        rc = put_some(out, "error", &life->error);
    return rc == 0 ? buf_add_str(out, "}\n") : rc;
}

/* --- for people --------------------------------------------------------------------------------------- */

/* Padded by spaces to `width`; two more behind it. */
static int put_cell(struct buf *out, struct span text, size_t width)
{
    CLEAN_BUF safe = BUF_INIT;
    int rc = text_neutralise(&safe, text);
    for (size_t i = 0; i < safe.len; i++)
        safe.ptr[i] = safe.ptr[i] == '\n' ? ' ' : safe.ptr[i];
    if (rc == 0)
        rc = buf_add_span(out, buf_span(&safe));
    for (size_t n = safe.len; rc == 0 && n < width; n++)
        rc = buf_add_str(out, " ");
    return rc == 0 && width > 0 ? buf_add_str(out, "  ") : rc;
}

static struct span local_time_of(uint64_t ms, char text[static 32])
{
    struct tm tm;
    time_t seconds = (time_t)(ms / 1000);
    size_t len = localtime_r(&seconds, &tm) ? strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm) : 0;
    return span_of(text, len);
}

static int put_row(struct buf *out, const struct life *life, size_t name_width)
{
    char since[32];
    int rc = put_cell(out, span_str(life_kind_name(life->kind)), 7);
    if (rc == 0)
        rc = put_cell(out, buf_span(&life->name), name_width);
    if (rc == 0)
        rc = put_cell(out, span_str(life_state_name(life->state)), 8);
    if (rc == 0)
        rc = put_cell(out, local_time_of(since_ms(life), since), 19);
    if (rc == 0)
        rc = put_cell(out, span_str(life_definition(life)), life->error.len + life->path.len ? ID_TEXT_LEN : 0);
    if (rc == 0)
        rc = put_cell(out, life->error.len > 0 ? buf_span(&life->error) : buf_span(&life->path), 0);
    return rc == 0 ? buf_add_str(out, "\n") : rc;
}

static int put_titles(struct buf *out, size_t name_width)
{
    int rc = put_cell(out, span_str("KIND"), 7);
    if (rc == 0)
        rc = put_cell(out, span_str("NAME"), name_width);
    return rc == 0 ? buf_add_str(out, "STATE     SINCE                DEFINITION\n") : rc;
}

/* --- all ---------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const struct life *x = *(const struct life *const *)a, *y = *(const struct life *const *)b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = memcmp(x->name.ptr, y->name.ptr, len);
    return order != 0 ? order : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

static int put_all(const struct call *call, struct buf *out, const struct life *const *chosen, size_t count)
{
    size_t width = 4;
    bool people = call_for_people(call);
    int rc = 0;
    for (size_t i = 0; i < count; i++)
        width = chosen[i]->name.len > width ? chosen[i]->name.len : width;
    if (people && count > 0)
        rc = put_titles(out, width);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = people ? put_row(out, chosen[i], width) : put_json(out, chosen[i]);
    return rc;
}

int list_print(const struct call *call, const struct lives *lives, const struct list_choice *choice, size_t *count)
{
    struct err err = ERR_INIT;
    CLEAN_BUF out = BUF_INIT;
    size_t n = 0;
    const struct life **chosen = calloc(lives->count + 1, sizeof(const struct life *));
    for (size_t i = 0; chosen && i < lives->count; i++) {
        if (is_chosen(&lives->items[i], choice))
            chosen[n++] = &lives->items[i];
    }
    if (chosen)
        qsort(chosen, n, sizeof(const struct life *), compare);
    int rc = chosen ? put_all(call, &out, chosen, n) : -1;
    free(chosen);
    if (count)
        *count = n;
    if (rc != 0)
        return call_failf(call, "out of memory");
    return output_write(buf_span(&out), &err) < 0 ? call_fail(call, &err) : 0;
}
