#include "server/kernels.h"

#include "core/linalg/half.h"
#include "core/linalg/mat.h"
#include "core/linalg/self_test.h"
#include "server/log.h"

#include <sys/syscall.h>
#include <unistd.h>

/* Asks the kernel for the AMX tiles: their state makes every thread's context larger, so a process
   has them on request only. */
static bool kernels_allow_amx(void)
{
#if defined(__x86_64__) && defined(SYS_arch_prctl)
    enum { REQUEST_STATE = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
    return syscall(SYS_arch_prctl, REQUEST_STATE, TILE_DATA) == 0;
#else
    return false;
#endif
}

static int kernels_test(const struct simd_kernels *f32, struct err *err)
{
    if (mat_start())
        return err_set(err, ERR_INTERNAL, "", "The BLAS of this machine computes wrong products.");
    return self_test_run(f32, err);
}

int kernels_start(struct app *app, struct simd_kernels *halves, const struct simd_kernels *f32,
                  struct err *err)
{
    struct err wrong = {0};
    int code = kernels_test(f32, &wrong);
    if (code == ERR_INTERNAL) {
        err_set(&app->fault, ERR_UNAVAILABLE, "", "%s", wrong.message);
        log_message(LOG_ERROR, "kernels", "%s", wrong.message);
        return 0;
    }
    if (code) {
        *err = wrong;
        return code;
    }
    app->kernels[PRECISION_F32] = f32;
    bool amx = kernels_allow_amx();
    for (int i = PRECISION_F32 + 1; i < PRECISION_COUNT; i++) {
        if (half_kernels(&halves[i], f32, (enum precision)i, amx))
            app->kernels[i] = &halves[i];
    }
    return 0;
}
