/*
 * Doubles as the peer's JSON library reads and prints them. No I/O.
 */
#ifndef BRIDGE_DOUBLE_H
#define BRIDGE_DOUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOUBLE_TEXT 32 /**< bytes that double_write may need */

/**
 * Writes the shortest digits that give this double again, of those the nearest: "1.0", "0.00001", "1e+16", "5e-7", "-0.0".
 * With an exponent from 1e16 on and below 1e-5. Finite values. Returns how many bytes; no NUL.
 */
size_t double_write(char out[static DOUBLE_TEXT], double value);

/**
 * The text of digits * 10^exponent, or of minus that, by that library's arithmetic, which may miss the nearest double by a bit or
 * two: what it prints depends on it. False when it is out of range. `exponent` may be any number.
 */
bool double_again(char out[static DOUBLE_TEXT], size_t *len, bool negative, uint64_t digits, int64_t exponent);

#endif
