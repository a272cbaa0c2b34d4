#include "base/text.h"

#define ROW(a)                                                                                     \
    a "A" a "B" a "C" a "D" a "E" a "F" a "G" a "H" a "I" a "J" a "K" a "L" a "M" a "N" a "O" a    \
      "P" a "Q" a "R" a "S" a "T" a "U" a "V" a "W" a "X" a "Y" a "Z" a "a" a "b" a "c" a "d" a    \
      "e" a "f" a "g" a "h" a "i" a "j" a "k" a "l" a "m" a "n" a "o" a "p" a "q" a "r" a "s" a    \
      "t" a "u" a "v" a "w" a "x" a "y" a "z" a "0" a "1" a "2" a "3" a "4" a "5" a "6" a "7" a    \
      "8" a "9" a "+" a "/"

/* The two base64 digits of every 12-bit number: this sits in the path of every frame written. */
static const char pairs[] = ROW("A") ROW("B") ROW("C") ROW("D") ROW("E") ROW("F") ROW("G") ROW("H")
    ROW("I") ROW("J") ROW("K") ROW("L") ROW("M") ROW("N") ROW("O") ROW("P") ROW("Q") ROW("R")
        ROW("S") ROW("T") ROW("U") ROW("V") ROW("W") ROW("X") ROW("Y") ROW("Z") ROW("a") ROW("b")
            ROW("c") ROW("d") ROW("e") ROW("f") ROW("g") ROW("h") ROW("i") ROW("j") ROW("k")
                ROW("l") ROW("m") ROW("n") ROW("o") ROW("p") ROW("q") ROW("r") ROW("s") ROW("t")
                    ROW("u") ROW("v") ROW("w") ROW("x") ROW("y") ROW("z") ROW("0") ROW("1") ROW("2")
                        ROW("3") ROW("4") ROW("5") ROW("6") ROW("7") ROW("8") ROW("9") ROW("+")
                            ROW("/");

static inline void put_pair(char *out, uint32_t twelve_bits)
{
    memcpy(out, pairs + 2 * (size_t)twelve_bits, 2);
}

void sri_format(char out[static SRI_TEXT_LEN + 1], const uint8_t digest[static 32])
{
    memcpy(out, "sha256-", 7);
    char *p = out + 7;
    for (size_t i = 0; i < 30; i += 3, p += 4) {
        uint32_t v =
            (uint32_t)digest[i] << 16 | (uint32_t)digest[i + 1] << 8 | (uint32_t)digest[i + 2];
        put_pair(p, v >> 12);
        put_pair(p + 2, v & 0xfff);
    }
    uint32_t tail = (uint32_t)digest[30] << 16 | (uint32_t)digest[31] << 8;
    put_pair(p, tail >> 12);
    p[2] = pairs[2 * (size_t)(tail & 0xfff)];
    memcpy(p + 3, "=", 2);
}

struct algorithm {
    const char *prefix;
    size_t size; /* bytes of a digest */
};

static const struct algorithm algorithms[] = {
    {"sha256-", 32}, {"sha1-", 20}, {"sha384-", 48}, {"sha512-", 64}, {"xxh3-", 16},
};

#define ALGORITHM_COUNT (sizeof(algorithms) / sizeof(algorithms[0]))
#define ALGORITHM_OURS (&algorithms[0])
#define SIZE_LARGEST 64

/* The algorithm of one well-formed entry, its digest decoded; NULL when it is none. */
static const struct algorithm *parse_entry(struct span entry, uint8_t digest[static SIZE_LARGEST])
{
    for (size_t i = 0; i < ALGORITHM_COUNT; i++) {
        const struct algorithm *a = &algorithms[i];
        size_t skip = strlen(a->prefix);
        if (entry.len < skip || memcmp(entry.ptr, a->prefix, skip) != 0)
            continue;
        size_t len;
        struct span digits = {entry.ptr + skip, entry.len - skip};
        int rc = b64_decode_into(digest, SIZE_LARGEST, digits, &len);
        return rc == 0 && len == a->size ? a : NULL;
    }
    return NULL;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool next_entry(struct span *rest, struct span *entry)
{
    while (rest->len > 0 && is_blank(*rest->ptr))
        *rest = (struct span){rest->ptr + 1, rest->len - 1};
    size_t len = 0;
    while (len < rest->len && !is_blank(rest->ptr[len]))
        len++;
    if (len == 0)
        return false;
    *entry = (struct span){rest->ptr, len};
    *rest = (struct span){rest->ptr + len, rest->len - len};
    return true;
}

int sri_parse(uint8_t out[static 32], struct span text, struct err *err)
{
    struct span rest = text;
    struct span entry;
    bool any = false;
    bool ours = false;
    uint8_t first[32];
    while (next_entry(&rest, &entry)) {
        uint8_t digest[SIZE_LARGEST];
        const struct algorithm *a = parse_entry(entry, digest);
        if (!a)
            return err_set(err, ERR_INVALID,
                           "\"%.*s\" is no content hash: sha256- and 44 characters of base64",
                           (int)(entry.len < 80 ? entry.len : 80), (const char *)entry.ptr);
        if (a == ALGORITHM_OURS && !ours) {
            memcpy(first, digest, sizeof(first));
            ours = true;
        }
        any = true;
    }
    if (!any)
        return err_set(err, ERR_INVALID, "a content hash is missing: sha256- and 44 characters");
    if (!ours)
        return err_set(err, ERR_NOT_FOUND, "no content by that hash: weir keeps sha256 only");
    memcpy(out, first, sizeof(first));
    return 0;
}
