/* weir s2 apply: basins and streams as a file says. The file is that of `weird --init-file'. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/json.h"
#include "base/text.h"
#include "cmd/s2/spec.h"
#include "cmd/s2/verb.h"

enum { FILE_OPTION = 1 };

#define FILE_MAX ((size_t)16 * 1024 * 1024)

static const struct option_row options[] = {
    {.id = FILE_OPTION,
     .letter = 'f',
     .name = "file",
     .arg = "FILE",
     .help = "JSON; - is standard input"},
    {.name = NULL},
};

static int read_file(const struct args *args, const char *path, struct buf *out)
{
    CLEAN_FD int own = strcmp(path, "-") == 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    int fd = own < 0 && strcmp(path, "-") == 0 ? STDIN_FILENO : own;
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0 && out->len < FILE_MAX && buf_reserve(out, 65536) == 0) {
        n = read(fd, out->ptr + out->len, 65536);
        out->len += n > 0 ? (size_t)n : 0;
    }
    if (n < 0)
        return args_failf(args, "%s: %s", path, err_code_text(-errno));
    return n > 0 ? args_failf(args, "%s is too large", path) : 0;
}

static int ensure(struct args *args, const struct spec_item *item)
{
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    struct weir_s2_answer answer = {0};
    CLEAN_BUF json = BUF_INIT;
    int rc = item->stream ? buf_add_span(&json, buf_span(&item->config))
                          : buf_addf(&json, "{\"config\":%.*s}", SPAN_ARG(buf_span(&item->config)));
    if (rc != 0 || !buf_cstr(&json))
        return args_failf(args, "out of memory");
    struct weir_s2_request r = {
        .method = "PUT",
        .collection = item->stream ? "streams" : "basins",
        .name = item->stream ? item->stream : item->basin,
        .basin = item->stream ? item->basin : NULL,
        .json = (char *)json.ptr,
    };
    if (weir_s2_call(args->s2, &r, &answer, &err) != 0) {
        err_prefix(&err.err, "s2://%s%s%s", item->basin, item->stream ? "/" : "",
                   item->stream ? item->stream : "");
        return args_fail(args, &err);
    }
    const char *what = answer.provision[0]    ? answer.provision
                       : answer.status == 201 ? "created"
                                              : "noop";
    printf("%s s2://%s%s%s\n", what, item->basin, item->stream ? "/" : "",
           item->stream ? item->stream : "");
    weir_s2_answer_finish(&answer);
    return 0;
}

static int exec(struct args *args)
{
    struct err err = ERR_INIT;
    CLEAN_BUF text = BUF_INIT;
    struct spec spec = {0};
    const char *path = args_value(args, FILE_OPTION);
    if (!path)
        return args_usage(args, "--file is missing");
    int rc = read_file(args, path, &text);
    if (rc == 0 && spec_read(&spec, buf_span(&text), &err) != 0)
        rc = args_failf(args, "%s: %s", path, err.text);
    if (rc == 0)
        rc = args_open(args, NULL);
    for (size_t i = 0; rc == 0 && i < spec.count; i++)
        rc = ensure(args, &spec.items[i]);
    spec_finish(&spec);
    return rc;
}

const struct verb verb_apply = {
    .name = "apply",
    .operands = "-f FILE",
    .about = "make basins and streams as a file says\n"
             "{\"basins\":[{\"name\":..,\"config\":{..},\"streams\":[{\"name\":..,\"config\":{..}}]"
             "}]}. What is there gets the\n"
             "config of the file; ages are written as \"7days\", \"1h 30m\", \"infinite\".\n",
    .options = options,
    .exec = exec,
};
