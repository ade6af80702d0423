#include "core/net/tensor.h"

#include "core/base/check.h"
#include "core/base/mem.h"

#include <math.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor bytes are read as they stand");

static double read_f32(const unsigned char *from)
{
    float value;
    memcpy(&value, from, sizeof value);
    return (double)value;
}

static double read_f64(const unsigned char *from)
{
    double value;
    memcpy(&value, from, sizeof value);
    return value;
}

static double read_f16(const unsigned char *from)
{
    uint16_t bits;
    memcpy(&bits, from, sizeof bits);
    int exponent = bits >> 10 & 31;
    double fraction = (bits & 1023) / 1024.0;
    double size;
    if (exponent == 31)
        size = (bits & 1023) ? NAN : INFINITY;
    else if (exponent == 0)
        size = ldexp(fraction, -14);
    else
        size = ldexp(1 + fraction, exponent - 15);
    return bits & 0x8000 ? -size : size;
}

static double read_bf16(const unsigned char *from)
{
    uint16_t half;
    memcpy(&half, from, sizeof half);
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

static const struct {
    const char *name;
    size_t size;
    double (*read)(const unsigned char *from);
} dtypes[] = {
    [DTYPE_F32] = {"F32", 4, read_f32},
    [DTYPE_F64] = {"F64", 8, read_f64},
    [DTYPE_F16] = {"F16", 2, read_f16},
    [DTYPE_BF16] = {"BF16", 2, read_bf16},
};

const char *dtype_name(enum dtype dtype)
{
    check((unsigned)dtype < sizeof dtypes / sizeof dtypes[0]);
    return dtypes[dtype].name;
}

size_t dtype_size(enum dtype dtype)
{
    check((unsigned)dtype < sizeof dtypes / sizeof dtypes[0]);
    return dtypes[dtype].size;
}

void tensor_table_release(struct tensor_table *table)
{
    mem_free(table->tensors);
    *table = (struct tensor_table){0};
}

const struct tensor *tensor_table_find(const struct tensor_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->tensors[i].name, name) == 0)
            return &table->tensors[i];
    }
    return NULL;
}

/* The array doubles whenever the count reaches a power of two, so that no capacity is kept. */
int tensor_table_add(struct tensor_table *table, const struct tensor *tensor)
{
    size_t count = table->count;
    if (count >= LIMIT_TENSORS)
        return ERR_TOO_LARGE;
    if ((count & (count - 1)) == 0) {
        size_t capacity = count ? 2 * count : 1;
        struct tensor *tensors = mem_realloc(table->tensors, capacity, sizeof *tensors);
        if (!tensors)
            return ERR_NOMEM;
        table->tensors = tensors;
    }
    table->tensors[table->count++] = *tensor;
    return 0;
}

bool tensor_table_narrow(struct tensor_table *table, const char *prefix)
{
    size_t length = strlen(prefix), kept = 0;
    for (size_t i = 0; i < table->count; i++) {
        struct tensor tensor = table->tensors[i];
        if (strncmp(tensor.name, prefix, length) != 0 || tensor.name[length] != '.')
            continue;
        const char *rest = tensor.name + length + 1;
        memmove(tensor.name, rest, strlen(rest) + 1);
        table->tensors[kept++] = tensor;
    }
    table->count = kept;
    return kept > 0;
}

int tensor_read(const struct tensor *tensor, float *out, struct err *err)
{
    double (*read)(const unsigned char *from) = dtypes[tensor->dtype].read;
    size_t size = dtype_size(tensor->dtype);
    for (size_t i = 0; i < tensor->count; i++) {
        double value = read(tensor->data + i * size);
        if (!isfinite(value))
            return err_set(err, ERR_FORMAT, tensor->name,
                           "Element %zu of this tensor is not a finite number.", i);
        if (fabs(value) > LIMIT_WEIGHT)
            return err_set(err, ERR_FORMAT, tensor->name,
                           "Element %zu of this tensor is %g; weights lie between -%g and %g.", i,
                           value, LIMIT_WEIGHT, LIMIT_WEIGHT);
        out[i] = (float)value;
    }
    return 0;
}
