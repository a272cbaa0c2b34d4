/*
 * The parts of `weir decode`: printing what is there, following, looking after.
 */
#ifndef CMD_DECODE_H
#define CMD_DECODE_H

#include "bridge/io/ss_file.h"
#include "bridge/show.h"
#include "cmd/call.h"

/** What was asked. */
struct decode {
    const struct call *call;
    const char *path;      /**< NULL: standard input */
    enum ss_show form;
    bool header_only;
    bool people;           /**< stdout is a terminal: nothing that is printed may steer it */
    const char **streams;  /**< keys wished, of `stream_count` */
    size_t stream_count;   /**< 0: all */
    bool follow;
    bool placed;           /**< a place to begin at was asked for: */
    enum ss_from from;
    uint64_t value;        /**< sequence, or ms */
};

/** Prints a file, a pipe or standard input from front to end. The exit status; messages were written. */
int decode_print(const struct decode *d);
/** Prints a file from the place asked for, and with `follow` waits for what is appended. */
int decode_follow(const struct decode *d);
/** Reads all of it and says what is wrong. 1 when there is damage. */
int decode_verify(const struct decode *d);
/** Mends it. 0 also when there was nothing to mend. */
int decode_repair(const struct decode *d);

/** Text on its way to standard output. */
struct decode_out {
    const struct decode *d;
    struct buf text;
    uint64_t shown; /**< messages */
};
/** Add to the text; -ENOMEM. A message that was not asked for adds nothing; beacons are left out when streams were chosen. */
int decode_header(struct decode_out *o, const struct ss_header *h);
int decode_message(struct decode_out *o, const struct ss_message *m);
int decode_beacon(struct decode_out *o, const struct ss_beacon *b);
/** Hands the text to standard output. 0, OUTPUT_GONE, -errno with text. */
int decode_flush(struct decode_out *o, struct err *err);
/** The same once there is much of it. */
int decode_flush_much(struct decode_out *o, struct err *err);
void decode_out_finish(struct decode_out *o);
/** The exit status: what could not be read is said with the file's name before it; OUTPUT_GONE and ERR_END are no failures. */
int decode_status(const struct decode *d, int rc, struct err *err);
/** Says that the input ends in the middle of a message. */
void decode_say_torn(const struct decode *d, uint64_t bytes);
/** What the file is called in messages. */
const char *decode_name(const struct decode *d);

#endif
