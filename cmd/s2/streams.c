/* weir s2: streams. */
#include "cmd/s2/config.h"
#include "cmd/s2/names.h"

static int about_stream(struct args *args, const char *method, bool with_config)
{
    CLEAN_BUF room = BUF_INIT;
    CLEAN_BUF json = BUF_INIT;
    struct weir_s2_stream of;
    int rc = args_stream(args, args_operand(args, 0), &room, &of);
    if (rc == 0 && with_config)
        rc = stream_config_put(args, &json);
    if (rc == 0)
        rc = args_open(args, NULL);
    if (rc != 0)
        return rc;
    return args_call(args, &(struct weir_s2_request){.method = method,
                                                     .collection = "streams",
                                                     .name = of.stream,
                                                     .basin = of.basin,
                                                     .json = with_config ? buf_cstr(&json) : NULL});
}

static int create(struct args *args)
{
    CLEAN_BUF room = BUF_INIT;
    CLEAN_BUF config = BUF_INIT;
    CLEAN_BUF json = BUF_INIT;
    struct weir_s2_stream of;
    int rc = args_stream(args, args_operand(args, 0), &room, &of);
    if (rc == 0)
        rc = stream_config_put(args, &config);
    if (rc == 0)
        rc = args_made(args, &json, "stream", of.stream, &config);
    if (rc == 0)
        rc = args_open(args, NULL);
    if (rc != 0)
        return rc;
    return args_call(args, &(struct weir_s2_request){.method = "POST",
                                                     .collection = "streams",
                                                     .basin = of.basin,
                                                     .json = buf_cstr(&json)});
}

static int get_config(struct args *args)
{
    return about_stream(args, "GET", false);
}

static int reconfigure(struct args *args)
{
    return about_stream(args, "PATCH", true);
}

static int delete_one(struct args *args)
{
    return about_stream(args, "DELETE", false);
}

const struct verb verb_list_streams = {
    .name = "list-streams",
    .operands = "s2://BASIN[/PREFIX]",
    .about = "list the streams of a basin\n"
             "One line of JSON each.\n",
    .options = names_options,
    .min = 1,
    .max = 1,
    .exec = names_list_streams,
};

const struct verb verb_create_stream = {
    .name = "create-stream",
    .operands = "s2://BASIN/STREAM",
    .about = "create a stream\n",
    .options = stream_config_options,
    .min = 1,
    .max = 1,
    .exec = create,
};

const struct verb verb_get_stream_config = {
    .name = "get-stream-config",
    .operands = "s2://BASIN/STREAM",
    .about = "print the config of a stream\n",
    .min = 1,
    .max = 1,
    .exec = get_config,
};

const struct verb verb_reconfigure_stream = {
    .name = "reconfigure-stream",
    .operands = "s2://BASIN/STREAM",
    .about = "change the config of a stream\n"
             "What is not given stays; null in --config puts a value back to its default.\n",
    .options = stream_config_options,
    .min = 1,
    .max = 1,
    .exec = reconfigure,
};

const struct verb verb_delete_stream = {
    .name = "delete-stream",
    .operands = "s2://BASIN/STREAM",
    .about = "delete a stream\n",
    .min = 1,
    .max = 1,
    .exec = delete_one,
};
