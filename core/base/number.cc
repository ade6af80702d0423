#include "core/base/number.h"

#include "core/base/check.h"

#include <charconv>
#include <cmath>
#include <system_error>

namespace {

constexpr double fixed_min = 1e-5;
constexpr double fixed_max = 1e15;

template <typename Float> size_t write(char *out, Float value)
{
    check(std::isfinite(value));
    double size = std::fabs(static_cast<double>(value));
    bool fixed = size == 0 || (size >= fixed_min && size < fixed_max);
    auto format = fixed ? std::chars_format::fixed : std::chars_format::scientific;
    auto result = std::to_chars(out, out + NUMBER_TEXT, value, format);
    check(result.ec == std::errc());
    return static_cast<size_t>(result.ptr - out);
}

bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

const char *skip_digits(const char *at, const char *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

bool is_sign(char c)
{
    return c == '-' || c == '+';
}

struct shape {
    size_t decimals;
    bool point, exponent;
};

/* [sign] digits [. digits] [e [sign] digits], a digit before or behind the point at least. */
bool read_shape(const char *at, const char *end, shape *out)
{
    *out = {};
    if (at < end && is_sign(*at))
        at++;
    const char *next = skip_digits(at, end);
    size_t digits = static_cast<size_t>(next - at);
    at = next;
    if (at < end && *at == '.') {
        out->point = true;
        next = skip_digits(++at, end);
        out->decimals = static_cast<size_t>(next - at);
        at = next;
    }
    if (digits + out->decimals == 0)
        return false;
    if (at < end && (*at == 'e' || *at == 'E')) {
        out->exponent = true;
        out->decimals = SIZE_MAX;
        at++;
        if (at < end && is_sign(*at))
            at++;
        next = skip_digits(at, end);
        if (next == at)
            return false;
        at = next;
    }
    return at == end;
}

/* A number written with a digit other than 0 in front of its exponent. */
bool written_nonzero(const char *at, const char *end)
{
    for (; at < end && *at != 'e' && *at != 'E'; at++)
        if (*at >= '1' && *at <= '9')
            return true;
    return false;
}

} // namespace

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
    return static_cast<size_t>(std::to_chars(out, out + NUMBER_TEXT, value).ptr - out);
}

bool number_read(const char *text, size_t size, double *value, size_t *decimals, bool *integer)
{
    const char *end = text + size;
    shape seen;
    if (size == 0 || !read_shape(text, end, &seen))
        return false;
    if (*text == '+') /* from_chars knows no plus */
        text++;
    double read = 0;
    auto result = std::from_chars(text, end, read);
    if (result.ec != std::errc() || result.ptr != end || !std::isfinite(read))
        return false;
    if (read == 0 && written_nonzero(text, end))
        return false;
    *value = read;
    if (decimals)
        *decimals = seen.decimals;
    if (integer)
        *integer = !seen.point && !seen.exponent;
    return true;
}
