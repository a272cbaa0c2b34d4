/*
 * Any text as a stream URL, its path and its Redis nodes.
 */
#include <stdlib.h>

#include "bridge/message.h"
#include "bridge/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void check_nodes(const struct ss_url *url)
{
    char *path = NULL;
    struct err err = ERR_INIT;
    if (ss_url_path(url, &path, &err) == 0)
        demand(path && path[0]);
    else
        demand(err.text[0]);
    free(path);
    for (size_t i = 0; i < url->node_count; i++) {
        struct ss_redis_node node;
        demand(url->nodes[i][0]);
        if (ss_url_redis(url, i, &node, NULL) == 0) {
            demand(node.host[0] && node.port[0] && strlen(node.port) < sizeof(node.port));
            ss_redis_node_finish(&node);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ss_url url;
    struct err err = ERR_INIT;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    int rc = ss_url_parse(&url, text, &err);
    demand(rc == 0 || (rc == ERR_INVALID && err.text[0]));
    if (rc == 0) {
        demand(url.node_count > 0 && url.scheme[0]);
        check_nodes(&url);
        for (size_t i = 0; i < url.key_count; i++)
            demand(url.keys[i][0] && (url.protocol == SS_WEIR || url.protocol == SS_S2 || ss_key_check(span_str(url.keys[i]), NULL) == 0));
        ss_url_finish(&url);
    }
    free(text);
    return 0;
}
