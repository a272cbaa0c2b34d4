/*
 * Any text as a config of a stream, of a basin, as a change of one, and as a note: what is read is
 * written and read again as the same, also by way of what the store keeps.
 */
#include <stdlib.h>

#include "base/json.h"
#include "base/s2/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void demand_stored(const struct s2_stream_config *config)
{
    struct s2_stream_config none = {0};
    struct s2_stream_config resolved = s2_stream_config_resolve(config, &none);
    struct s2_stream_note note = {0};
    struct s2_stream_note again;
    CLEAN_BUF out = BUF_INIT;
    memcpy(note.storage_class, resolved.storage_class, sizeof(note.storage_class));
    demand(s2_stream_note_put(&out, &note) == 0 && out.len <= TOPIC_NOTE_MAX);
    demand(s2_stream_note_read(&again, buf_span(&out), NULL) == 0);
    struct topic_rules rules = s2_rules_of(&resolved);
    struct s2_stream_config back = s2_config_of(&rules, &again);
    demand(s2_stream_config_equal(&back, &resolved));
}

static void try_stream(struct span text)
{
    struct err err = ERR_INIT;
    struct s2_stream_config config;
    struct s2_stream_config again;
    CLEAN_BUF out = BUF_INIT;
    int rc = s2_stream_config_read(&config, text, S2_CONFIG_WHOLE, &err);
    demand(rc == 0 || ((rc == ERR_FORMAT || rc == ERR_INVALID) && err.text[0] != '\0'));
    if (rc < 0)
        return;
    demand(s2_stream_config_put(&out, &config) == 0 &&
           json_validate(buf_span(&out), 4, NULL, NULL) == 0);
    demand(s2_stream_config_read(&again, buf_span(&out), S2_CONFIG_WHOLE, NULL) == 0);
    demand(s2_stream_config_equal(&config, &again));
    /* Where all is said, a change of nothing changes nothing. */
    demand(s2_stream_config_read(&again, span_str("{}"), S2_CONFIG_CHANGE, NULL) == 0);
    demand(s2_stream_config_equal(&config, &again));
    demand_stored(&config);
}

static void try_basin(struct span text)
{
    struct s2_basin_config config;
    struct s2_basin_config again;
    CLEAN_BUF out = BUF_INIT;
    if (s2_basin_config_read(&config, text, S2_CONFIG_WHOLE, NULL) < 0)
        return;
    demand(s2_basin_config_put(&out, &config) == 0 &&
           json_validate(buf_span(&out), 5, NULL, NULL) == 0);
    demand(s2_basin_config_read(&again, buf_span(&out), S2_CONFIG_WHOLE, NULL) == 0);
    demand(s2_stream_config_equal(&config.defaults, &again.defaults) &&
           config.cipher == again.cipher);
    demand(config.create_on_append == again.create_on_append &&
           config.create_on_read == again.create_on_read);
}

static void try_change(struct span text)
{
    struct s2_basin_config basin = {0};
    struct s2_stream_config stream = {0};
    s2_basin_config_read(&basin, text, S2_CONFIG_CHANGE, NULL);
    struct s2_stream_config once = stream;
    if (s2_stream_config_read(&once, text, S2_CONFIG_CHANGE, NULL) < 0)
        return;
    struct s2_stream_config twice = once;
    demand(s2_stream_config_read(&twice, text, S2_CONFIG_CHANGE, NULL) == 0 &&
           s2_stream_config_equal(&once, &twice));
}

static void try_note(struct span text)
{
    struct s2_stream_note note;
    struct s2_stream_note again;
    CLEAN_BUF out = BUF_INIT;
    int rc = s2_stream_note_read(&note, text, NULL);
    demand(rc == 0 || rc == ERR_DAMAGED);
    if (rc < 0)
        return;
    demand(s2_stream_note_put(&out, &note) == 0 &&
           s2_stream_note_read(&again, buf_span(&out), NULL) == 0);
    demand(strcmp(note.token, again.token) == 0 &&
           strcmp(note.storage_class, again.storage_class) == 0);
    demand(note.cipher == again.cipher &&
           memcmp(note.digest, again.digest, sizeof(note.digest)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_stream(span_of(data, size));
    try_basin(span_of(data, size));
    try_change(span_of(data, size));
    try_note(span_of(data, size));
    return 0;
}
