/*
 * CRC-16/CDMA2000, sixteen bytes a step: tables[k][b] is what byte b does to the checksum k bytes later.
 */
#include "bridge/crc.h"

#define POLYNOMIAL 0xC867u
#define STEP 16

static uint16_t tables[STEP][256];

static uint16_t of_byte(unsigned byte)
{
    unsigned crc = byte << 8;
    for (int bit = 0; bit < 8; bit++)
        crc = crc & 0x8000 ? crc << 1 ^ POLYNOMIAL : crc << 1;
    return (uint16_t)crc;
}

/* Before main, some microseconds: no thread needs to ask whether they are there. */
__attribute__((constructor)) static void fill_tables(void)
{
    for (unsigned byte = 0; byte < 256; byte++)
        tables[0][byte] = of_byte(byte);
    for (size_t k = 1; k < STEP; k++)
        for (size_t byte = 0; byte < 256; byte++) {
            unsigned before = tables[k - 1][byte];
            tables[k][byte] = (uint16_t)(before << 8 ^ tables[0][before >> 8]);
        }
}

static inline uint16_t step(uint16_t crc, const uint8_t *p)
{
    unsigned out = tables[15][p[0] ^ crc >> 8];
    out ^= tables[14][p[1] ^ (crc & 0xff)];
    for (size_t i = 2; i < STEP; i++)
        out ^= tables[STEP - 1 - i][p[i]];
    return (uint16_t)out;
}

uint16_t ss_crc(uint16_t crc, struct span bytes)
{
    const uint8_t *p = bytes.ptr;
    size_t left = bytes.len;
    for (; left >= STEP; left -= STEP, p += STEP)
        crc = step(crc, p);
    for (; left > 0; left--, p++)
        crc = (uint16_t)(crc << 8 ^ tables[0][(crc >> 8 ^ *p) & 0xff]);
    return crc;
}
