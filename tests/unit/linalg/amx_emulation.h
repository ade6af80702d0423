/* The AMX instructions that half_amx.c uses, as plain C on a struct of eight tiles: included before
   it by the build of the test, so that its logic runs on processors without them. */
#ifndef TESTS_UNIT_LINALG_AMX_EMULATION_H
#define TESTS_UNIT_LINALG_AMX_EMULATION_H

#include "core/base/check.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static struct {
    bool configured;
    unsigned row_bytes[8], rows[8];
    unsigned char tiles[8][16][64];
} amx;

static inline void emulated_loadconfig(const void *config)
{
    const unsigned char *bytes = config;
    check(!amx.configured && bytes[0] == 1 && bytes[1] == 0);
    for (int t = 0; t < 8; t++) {
        uint16_t row_bytes;
        memcpy(&row_bytes, bytes + 16 + 2 * t, sizeof row_bytes);
        amx.row_bytes[t] = row_bytes;
        amx.rows[t] = bytes[48 + t];
        check(row_bytes <= 64 && amx.rows[t] <= 16);
    }
    /* A fresh configuration zeroes the tiles; garbage shows more. */
    memset(amx.tiles, 0xff, sizeof amx.tiles);
    amx.configured = true;
}

static inline void emulated_release(void)
{
    check(amx.configured);
    amx.configured = false;
}

static inline void emulated_loadd(int t, const void *base, size_t stride)
{
    check(amx.configured);
    for (unsigned r = 0; r < amx.rows[t]; r++)
        memcpy(amx.tiles[t][r], (const char *)base + r * stride, amx.row_bytes[t]);
}

static inline void emulated_stored(int t, void *base, size_t stride)
{
    check(amx.configured);
    for (unsigned r = 0; r < amx.rows[t]; r++)
        memcpy((char *)base + r * stride, amx.tiles[t][r], amx.row_bytes[t]);
}

/* A bfloat16 of a row, as a float; numbers below the normal ones count as zero. */
static inline float emulated_half(const unsigned char *row, unsigned at)
{
    uint32_t bits = (uint32_t)row[2 * at] << 16 | (uint32_t)row[2 * at + 1] << 24;
    float value;
    if ((bits & 0x7f800000u) == 0)
        bits &= 0x80000000u;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Products of even and of odd elements are summed apart, then both sums are added. */
static inline void emulated_dpbf16ps(int sum, int a, int b)
{
    check(amx.configured && amx.row_bytes[a] / 4 == amx.rows[b]);
    for (unsigned m = 0; m < amx.rows[sum]; m++) {
        for (unsigned n = 0; n < amx.row_bytes[sum] / 4; n++) {
            float even = 0, odd = 0, total;
            for (unsigned k = 0; k < amx.rows[b]; k++) {
                even +=
                    emulated_half(amx.tiles[a][m], 2 * k) * emulated_half(amx.tiles[b][k], 2 * n);
                odd += emulated_half(amx.tiles[a][m], 2 * k + 1) *
                       emulated_half(amx.tiles[b][k], 2 * n + 1);
            }
            memcpy(&total, amx.tiles[sum][m] + 4 * n, sizeof total);
            total += even + odd;
            memcpy(amx.tiles[sum][m] + 4 * n, &total, sizeof total);
        }
    }
}

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _tile_loadconfig emulated_loadconfig
#define _tile_release emulated_release
#define _tile_loadd emulated_loadd
#define _tile_stored emulated_stored
#define _tile_dpbf16ps emulated_dpbf16ps

/* Beside the real ones in the library. */
#define half_amx_bf16x3 emulated_bf16x3
#define half_amx_bf16 emulated_bf16

#endif
