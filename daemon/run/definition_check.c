/*
 * What the parts of a definition say together.
 */
#include <errno.h>

#include "daemon/run/definition_value.h"

/* Names whose topics would say something else: xs.start; xs.service.x.fin.term, an event of x. */
static int check_name(const struct definition *def, struct err *err)
{
    size_t len = strlen(def->name);
    if (strcmp(def->name, "xs") == 0 || strncmp(def->name, "xs.", 3) == 0)
        return err_set(err, ERR_INVALID, "the name %s: xs is the daemon's", def->name);
    if (len > 4 && strcmp(def->name + len - 4, ".fin") == 0)
        return err_set(err, ERR_INVALID, "the name %s must not end with .fin", def->name);
    return 0;
}

/* Whether what it prints would be its own input. */
static bool feeds_itself(const struct definition *def)
{
    return (def->kind == PROGRAM_SERVICE && def->duplex && strcmp(def->suffix, ".send") == 0) ||
           (def->kind == PROGRAM_ACTION && strcmp(def->suffix, ".call") == 0);
}

static int check_suffix(const struct definition *def, struct err *err)
{
    CLEAN_BUF topic = BUF_INIT;
    if (buf_add_str(&topic, def->name) < 0 || buf_add_str(&topic, def->suffix) < 0)
        return err_set(err, -ENOMEM, "no memory");
    int rc = topic_check(buf_span(&topic), err);
    if (rc == 0 && feeds_itself(def))
        rc = err_set(err, ERR_INVALID, "\"%s\" is the topic of its input", def->suffix);
    if (rc < 0)
        err_prefix(err, "\"return_options\": \"suffix\"");
    return rc;
}

static int check_output(const struct definition *def, struct err *err)
{
    if (def->binary && def->output == OUTPUT_FRAMES)
        return err_set(err, ERR_INVALID, "\"binary\" and the output \"frames\" exclude each other");
    if (def->binary && def->target == TARGET_META)
        return err_set(err, ERR_INVALID, "\"binary\" and the target \"meta\" exclude each other");
    return 0;
}

int definition_check(const struct definition *def, struct err *err)
{
    int rc = check_name(def, err);
    if (rc == 0)
        rc = check_suffix(def, err);
    return rc < 0 ? rc : check_output(def, err);
}
