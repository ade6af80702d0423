#include "core/linalg/mat.h"

#include "core/base/check.h"
#include "core/base/err.h"

#include <cblas.h>
#include <limits.h>
#include <math.h>

struct mat mat_view(float *data, size_t rows, size_t cols)
{
    return (struct mat){data, rows, cols, cols};
}

/* BLAS counts in int; a wrong stride makes it print and leave the output untouched. */
static int mat_int(size_t n)
{
    check(n <= INT_MAX);
    return (int)n;
}

void mat_multiply(struct mat c, struct mat a, bool ta, struct mat b, bool tb, bool accumulate)
{
    size_t m = ta ? a.cols : a.rows;
    size_t k = ta ? a.rows : a.cols;
    size_t n = tb ? b.rows : b.cols;
    check(c.rows == m && c.cols == n && (tb ? b.cols : b.rows) == k);
    check(c.stride >= c.cols && a.stride >= a.cols && b.stride >= b.cols);
    check(m > 0 && n > 0 && k > 0);
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
                mat_int(m), mat_int(n), mat_int(k), 1.0f, a.data, mat_int(a.stride), b.data,
                mat_int(b.stride), accumulate ? 1.0f : 0.0f, c.data, mat_int(c.stride));
}

enum { PROBE_M = 37, PROBE_N = 29, PROBE_K = 53 };

/* Whole numbers: every product below is exact in float whatever the order of its sum. */
static float mat_probe(size_t i)
{
    return (float)((i * 31 + 7) % 17) - 8.0f;
}

static double mat_probe_sum(bool ta, bool tb, size_t r, size_t c)
{
    double sum = 0;
    for (size_t i = 0; i < PROBE_K; i++) {
        double a = mat_probe(ta ? i * PROBE_M + r : r * PROBE_K + i);
        double b = mat_probe(tb ? c * PROBE_K + i : i * PROBE_N + c);
        sum += a * b;
    }
    return sum;
}

static bool mat_product_is_right(bool ta, bool tb)
{
    float a[PROBE_M * PROBE_K], b[PROBE_K * PROBE_N], c[PROBE_M * PROBE_N];
    for (size_t i = 0; i < PROBE_M * PROBE_K; i++)
        a[i] = mat_probe(i);
    for (size_t i = 0; i < PROBE_K * PROBE_N; i++)
        b[i] = mat_probe(i);
    for (size_t i = 0; i < PROBE_M * PROBE_N; i++)
        c[i] = 1.0f;
    mat_multiply(mat_view(c, PROBE_M, PROBE_N),
                 ta ? mat_view(a, PROBE_K, PROBE_M) : mat_view(a, PROBE_M, PROBE_K), ta,
                 tb ? mat_view(b, PROBE_N, PROBE_K) : mat_view(b, PROBE_K, PROBE_N), tb, true);
    for (size_t r = 0; r < PROBE_M; r++) {
        for (size_t i = 0; i < PROBE_N; i++) {
            if ((double)c[r * PROBE_N + i] != 1 + mat_probe_sum(ta, tb, r, i))
                return false;
        }
    }
    return true;
}

int mat_start(void)
{
    openblas_set_num_threads(1);
    bool right = openblas_get_num_threads() == 1;
    for (int i = 0; i < 4 && right; i++)
        right = mat_product_is_right(i & 1, i & 2);
    return right ? 0 : ERR_INTERNAL;
}

const char *mat_backend(void)
{
    return openblas_get_config();
}
