#include "cmd/s2/format.h"

#include "base/s2/json.h"

const char line_format_help[] = "text (bodies), json or json-base64";

int line_format_of(const struct args *args, int id, enum line_format *out)
{
    const char *text = args_value(args, id);
    *out = LINE_TEXT;
    if (!text || strcmp(text, "text") == 0)
        return 0;
    if (strcmp(text, "json") != 0 && strcmp(text, "json-base64") != 0)
        return args_usage(args, "--format is %s, not `%s'", line_format_help, text);
    *out = text[4] ? LINE_JSON_BASE64 : LINE_JSON;
    return 0;
}

int line_read(struct line_record *out, struct span line, enum line_format format, struct err *err)
{
    if (format == LINE_TEXT) {
        out->record = (struct s2_record){.body = line};
        return 0;
    }
    s2_input_finish(&out->input);
    out->input = (struct s2_input){0};
    buf_reset(&out->wrapped);
    int rc = buf_add_str(&out->wrapped, "{\"records\":[");
    if (rc == 0)
        rc = buf_add_span(&out->wrapped, line);
    if (rc == 0)
        rc = buf_add_str(&out->wrapped, "]}");
    if (rc == 0)
        rc = s2_json_read_input(&out->input, buf_span(&out->wrapped),
                                format == LINE_JSON ? S2_RAW : S2_BASE64, err);
    if (rc != 0)
        return rc;
    if (out->input.count != 1)
        return err_set(err, ERR_FORMAT, "a line is one JSON object");
    out->record = out->input.records[0];
    return 0;
}

void line_finish(struct line_record *line)
{
    s2_input_finish(&line->input);
    buf_finish(&line->wrapped);
}

int line_put(struct buf *out, const struct s2_record *record, enum line_format format,
             struct span *command)
{
    int rc;
    *command = span_of(NULL, 0);
    if (format != LINE_TEXT) {
        rc = s2_json_put_record(out, record, format == LINE_JSON ? S2_RAW : S2_BASE64);
    } else if (record->header_count == 1 && record->headers[0].name.len == 0) {
        *command = record->headers[0].value;
        return 0;
    } else {
        rc = buf_add_span(out, record->body);
    }
    return rc == 0 ? buf_add(out, "\n", 1) : rc;
}
