/*
 * CRC-16/CDMA2000: polynomial 0xC867, initial value 0xFFFF, no reflection, no final xor. "123456789" gives 0x4C06.
 */
#ifndef BRIDGE_CRC_H
#define BRIDGE_CRC_H

#include <weir/span.h>

#define SS_CRC_INIT 0xFFFF

/** Goes on from `crc` (SS_CRC_INIT at the beginning) over more bytes. */
uint16_t ss_crc(uint16_t crc, struct span bytes);

#endif
