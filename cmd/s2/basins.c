/* weir s2: basins. */
#include "base/text.h"
#include "cmd/s2/config.h"
#include "cmd/s2/names.h"

static int about_basin(struct args *args, const char *method, bool with_config)
{
    CLEAN_BUF room = BUF_INIT;
    CLEAN_BUF json = BUF_INIT;
    const char *basin, *rest;
    int rc = args_basin(args, args_operand(args, 0), &room, &basin, &rest);
    if (rc == 0 && with_config)
        rc = basin_config_put(args, &json);
    if (rc == 0)
        rc = args_open(args, NULL);
    struct weir_s2_request r = {.method = method,
                                .collection = "basins",
                                .name = basin,
                                .json = with_config ? buf_cstr(&json) : NULL};
    return rc == 0 ? args_call(args, &r) : rc;
}

static int create(struct args *args)
{
    CLEAN_BUF room = BUF_INIT;
    CLEAN_BUF config = BUF_INIT;
    CLEAN_BUF json = BUF_INIT;
    const char *basin, *rest;
    int rc = args_basin(args, args_operand(args, 0), &room, &basin, &rest);
    if (rc == 0)
        rc = basin_config_put(args, &config);
    if (rc == 0)
        rc = args_made(args, &json, "basin", basin, &config);
    if (rc == 0)
        rc = args_open(args, NULL);
    struct weir_s2_request r = {
        .method = "POST", .collection = "basins", .json = rc == 0 ? buf_cstr(&json) : NULL};
    return rc == 0 ? args_call(args, &r) : rc;
}

static int get_config(struct args *args)
{
    return about_basin(args, "GET", false);
}

static int reconfigure(struct args *args)
{
    return about_basin(args, "PATCH", true);
}

static int delete_one(struct args *args)
{
    return about_basin(args, "DELETE", false);
}

static int list(struct args *args)
{
    int rc = args_open(args, NULL);
    return rc == 0 ? names_list(args, &(struct names){.collection = "basins", .member = "name"})
                   : rc;
}

/* Without a URI basins, with one the streams below it. */
static int list_any(struct args *args)
{
    return args->operand_count == 0 ? list(args) : names_list_streams(args);
}

const struct verb verb_list_basins = {
    .name = "list-basins",
    .operands = "",
    .about = "list basins\n"
             "One line of JSON each.\n",
    .options = names_options,
    .exec = list,
};

const struct verb verb_ls = {
    .name = "ls",
    .operands = "[s2://BASIN[/PREFIX]]",
    .about = "list basins, or streams of a basin\n"
             "One line of JSON each.\n",
    .options = names_options,
    .max = 1,
    .exec = list_any,
};

const struct verb verb_create_basin = {
    .name = "create-basin",
    .operands = "BASIN",
    .about = "create a basin\n",
    .options = basin_config_options,
    .min = 1,
    .max = 1,
    .exec = create,
};

const struct verb verb_get_basin_config = {
    .name = "get-basin-config",
    .operands = "BASIN",
    .about = "print the config of a basin\n",
    .min = 1,
    .max = 1,
    .exec = get_config,
};

const struct verb verb_reconfigure_basin = {
    .name = "reconfigure-basin",
    .operands = "BASIN",
    .about = "change the config of a basin\n"
             "What is not given stays; null in --config puts a value back to its default.\n",
    .options = basin_config_options,
    .min = 1,
    .max = 1,
    .exec = reconfigure,
};

const struct verb verb_delete_basin = {
    .name = "delete-basin",
    .operands = "BASIN",
    .about = "delete a basin with its streams\n",
    .min = 1,
    .max = 1,
    .exec = delete_one,
};
