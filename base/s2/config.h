/*
 * Configs of streams and basins: JSON in, JSON out, defaults.
 *
 * A value that is not set falls back: stream, basin's default, the API's default (express, 7 days, client-prefer, capped, kept when
 * empty). Errors: ERR_FORMAT (bad_json), ERR_INVALID (422: a retention age of 0). Thread rule: any.
 */
#ifndef BASE_S2_CONFIG_H
#define BASE_S2_CONFIG_H

#include <weir/err.h>
#include <weir/store.h>

#include "base/buf.h"

#define S2_CLASS_MAX 64

struct s2_stream_config {
    bool has_class, has_retention, has_mode, has_uncapped, has_min_age;
    char storage_class[S2_CLASS_MAX + 1];
    uint64_t retention_s; /**< 0 = infinite */
    enum stamp_mode mode;
    bool uncapped;
    uint64_t min_age_s; /**< delete when empty for so long; 0 = never */
};

enum s2_cipher { S2_PLAIN, S2_AES_256_GCM, S2_AEGIS_256 };

struct s2_basin_config {
    struct s2_stream_config defaults;
    enum s2_cipher cipher;
    bool create_on_append, create_on_read;
};

/** How JSON is taken: a config as it is (null is as absent), or a change of one (absent: as it was; null: not set any more). */
enum s2_config_how { S2_CONFIG_WHOLE, S2_CONFIG_CHANGE };

/** Reads a JSON object into *config: WHOLE sets every member anew, CHANGE changes what it names, nested ones too. */
int s2_stream_config_read(struct s2_stream_config *config, struct span json, enum s2_config_how how, struct err *err);
int s2_basin_config_read(struct s2_basin_config *config, struct span json, enum s2_config_how how, struct err *err);

/** `over` where set, else `under`. */
struct s2_stream_config s2_stream_config_merge(const struct s2_stream_config *over, const struct s2_stream_config *under);
/** With every value set. */
struct s2_stream_config s2_stream_config_resolve(const struct s2_stream_config *config, const struct s2_stream_config *defaults);
bool s2_stream_config_equal(const struct s2_stream_config *a, const struct s2_stream_config *b);

/** Appends it as JSON: members that are set (an answer about a stream passes a resolved one). */
int s2_stream_config_put(struct buf *out, const struct s2_stream_config *config);
/** As the API answers: every member; default_stream_config null when nothing is set in it. */
int s2_basin_config_put(struct buf *out, const struct s2_basin_config *config);
const char *s2_cipher_name(enum s2_cipher cipher); /**< "aes-256-gcm", "aegis-256", NULL for plain */

/**
 * What the store keeps of a stream: rules from the resolved config, and in the note, as JSON, what else there is to know:
 * storage class, cipher, the request token it was made with and a digest of the config asked for then.
 */
struct s2_stream_note {
    char storage_class[S2_CLASS_MAX + 1];
    enum s2_cipher cipher;
    char token[S2_CLASS_MAX + 1]; /**< "" = none */
    uint8_t digest[16];           /**< of the config asked for */
};
struct topic_rules s2_rules_of(const struct s2_stream_config *resolved);
int s2_stream_note_put(struct buf *out, const struct s2_stream_note *note);
/** An empty note is that of a topic another dialect made: express, plain. ERR_DAMAGED. */
int s2_stream_note_read(struct s2_stream_note *out, struct span note, struct err *err);
/** The config of a topic as it is: every value set. */
struct s2_stream_config s2_config_of(const struct topic_rules *rules, const struct s2_stream_note *note);

#endif
