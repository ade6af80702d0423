/* Fields that somebody else trained: the published checkpoints beside this project, read as they
 * are. */
#include "core/base/mem.h"
#include "proto/json.h"
#include "proto/model_codec.h"
#include "proto/safetensors.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECKPOINTS SOURCE_ROOT "/../shared/checkpoints/"
#define SIDECAR                                                                                    \
    "{\"network\": \"mlp\", \"activation\": \"selu\", \"time\": {\"input\": \"last\", \"scale\": " \
    "1}, \"noise_at\": 0, \"prediction\": \"velocity\", \"path\": {\"kind\": \"linear\"}}"

enum { FILE_MAX = 1 << 20, LANES = SIMD_LANES };

static struct buf file;

static void read_checkpoint(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s%s_v1.safetensors", CHECKPOINTS, name);
    FILE *stream = fopen(path, "rb");
    ck_assert_ptr_nonnull(stream);
    buf_release(&file);
    buf_init(&file, FILE_MAX);
    file.size = fread(buf_reserve(&file, FILE_MAX), 1, FILE_MAX, stream);
    fclose(stream);
}

static int load(struct model *model, struct model_config *config, const char *sidecar,
                struct err *err)
{
    *err = (struct err){0};
    return model_load(model, config, (unsigned char *)file.data, file.size, sidecar, err);
}

/* The velocity at one point in every lane. */
static void assert_velocity(const struct model *model, const float x[2], float time,
                            const double expected[2])
{
    struct field field = model_field(model);
    float *tile = mem_aligned(4 * LANES, sizeof *tile);
    float *v = mem_aligned(4 * LANES, sizeof *v);
    float *t = mem_aligned(LANES, sizeof *t);
    float *scratch = mem_aligned(field.scratch(field.self, LANES), sizeof *scratch);
    for (size_t lane = 0; lane < LANES; lane++) {
        tile[lane] = x[0];
        tile[LANES + lane] = x[1];
        t[lane] = time;
    }
    field.velocity(field.self, simd_select(NULL), v, tile, t, scratch,
                   (struct simd_shape){.stride = LANES, .lanes = LANES});
    for (size_t i = 0; i < 2; i++)
        ck_assert_double_eq_tol((double)v[i * LANES + LANES - 1], expected[i], 1e-5);
    mem_free(tile);
    mem_free(v);
    mem_free(t);
    mem_free(scratch);
}

START_TEST(published_fields_have_their_golden_velocities)
{
    static const struct {
        const char *name;
        double at_noise[2], halfway[2]; /* v((0, 0), 0) and v((1, -2), 0.5) */
    } cases[] = {
        {"8gaussian-moons__cfm", {-0.769758609, 0.199581278}, {0.795189539, 4.465193704}},
        {"8gaussian-moons__otcfm", {-0.251740115, 0.150259252}, {1.064511183, 3.030935813}},
        {"gaussian-moons__cfm", {0.676652402, 0.068334840}, {2.092894617, -0.401951072}},
        {"gaussian-moons__otcfm", {0.558931962, 0.023700546}, {1.689723328, -0.603249019}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model model;
        struct model_config config;
        struct err err;
        read_checkpoint(cases[i].name);
        ck_assert_msg(load(&model, &config, SIDECAR, &err) == 0, "%s", err.message);
        ck_assert_uint_eq(model.spec.net.dim, 2);
        ck_assert_uint_eq(model.spec.net.hidden_count, 3);
        ck_assert_str_eq(config.schema.columns[1].name, "x1");
        assert_velocity(&model, (float[]){0, 0}, 0, cases[i].at_noise);
        assert_velocity(&model, (float[]){1, -2}, 0.5f, cases[i].halfway);
        model_release(&model);
        model_config_release(&config);
    }
}
END_TEST

START_TEST(a_field_trained_the_other_way_round_is_turned)
{
    struct model model;
    struct model_config config;
    struct err err;
    read_checkpoint("8gaussian-moons__otcfm");
    ck_assert_int_eq(load(&model, &config,
                          "{\"activation\": \"selu\", \"time\": {\"input\": \"last\"}, "
                          "\"noise_at\": 1}",
                          &err),
                     0);
    assert_velocity(&model, (float[]){1, -2}, 0.5f, (double[]){-1.064511183, -3.030935813});
    model_release(&model);
    model_config_release(&config);
}
END_TEST

START_TEST(an_action_matching_potential_is_refused_by_name)
{
    struct model model;
    struct model_config config;
    struct err err;
    read_checkpoint("8gaussian-moons__action_matching");
    ck_assert_int_eq(load(&model, &config, SIDECAR, &err), ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "action matching"));
}
END_TEST

START_TEST(a_checkpoint_without_any_config_says_what_to_send)
{
    struct model model;
    struct model_config config;
    struct err err;
    read_checkpoint("gaussian-moons__cfm");
    ck_assert_int_eq(load(&model, &config, NULL, &err), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.message, "Advect-Config"));
    ck_assert_ptr_nonnull(strstr(err.message, "\"activation\": \"selu\""));
}
END_TEST

static void teardown(void)
{
    buf_release(&file);
}

int main(void)
{
    json_start();
    if (access(CHECKPOINTS, R_OK) != 0) {
        printf("skipped: %s is not there\ncounts: 0 passed, 0 failed, 1 skipped\n", CHECKPOINTS);
        return 77;
    }
    Suite *suite = suite_create("interop");
    TCase *tests = tcase_create("interop");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, published_fields_have_their_golden_velocities);
    tcase_add_test(tests, a_field_trained_the_other_way_round_is_turned);
    tcase_add_test(tests, an_action_matching_potential_is_refused_by_name);
    tcase_add_test(tests, a_checkpoint_without_any_config_says_what_to_send);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
