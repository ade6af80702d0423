#include "core/base/number.h"

#include <charconv>
#include <cmath>
#include <cstring>

template <typename T> static size_t write(char *out, T value)
{
    return static_cast<size_t>(std::to_chars(out, out + NUMBER_TEXT, value).ptr - out);
}

size_t number_write_float(char *out, float value)
{
    return write(out, value);
}

size_t number_write_double(char *out, double value)
{
    return write(out, value);
}

size_t number_write_integer(char *out, int64_t value)
{
    return write(out, value);
}
