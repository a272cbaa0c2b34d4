/*
 * Records as lines: text (the body alone), JSON with texts as they are, JSON in base64.
 */
#ifndef CMD_S2_FORMAT_H
#define CMD_S2_FORMAT_H

#include "base/s2/record.h"
#include "cmd/s2/verb.h"

enum line_format { LINE_TEXT, LINE_JSON, LINE_JSON_BASE64 };

/** The value of option `id`; text when it was not given. 0, or an exit status after a message. */
int line_format_of(const struct args *args, int id, enum line_format *out);

/** A line that was read. Zeroed before its first use. */
struct line_record {
    struct s2_record record; /**< borrows from the line and from what is below */
    struct buf wrapped;
    struct s2_input input;
};
/** ERR_FORMAT, ERR_INVALID, -ENOMEM. */
int line_read(struct line_record *out, struct span line, enum line_format format, struct err *err);
void line_finish(struct line_record *line);

/** Appends the record and a newline. A command record is left out of text; then *command names it.
 * -ENOMEM. */
int line_put(struct buf *out, const struct s2_record *record, enum line_format format,
             struct span *command);

extern const char line_format_help[];

#endif
