#include "server/engine/engine.h"

#include "server/metrics.h"

static double engine_rows(void *context)
{
    return (double)engine_stats(context).rows;
}

static double engine_evaluations(void *context)
{
    return (double)engine_stats(context).evaluations;
}

static double engine_runs(void *context)
{
    return (double)engine_stats(context).runs;
}

static double engine_runs_active(void *context)
{
    return (double)engine_stats(context).runs_active;
}

static double engine_rows_active(void *context)
{
    return (double)engine_stats(context).rows_active;
}

static double engine_cost_queued(void *context)
{
    return engine_stats(context).cost_queued;
}

int engine_metrics(struct engine *engine, struct metrics *metrics)
{
    static const struct {
        int (*add)(struct metrics *metrics, const char *name, const char *help,
                   double (*read)(void *context), void *context);
        const char *name;
        const char *help;
        double (*read)(void *context);
    } rows[] = {
        {metrics_counter, "advectd_rows_total", "Rows that were integrated to their end.",
         engine_rows},
        {metrics_counter, "advectd_field_evaluations_total",
         "Evaluations of a velocity field, one a row.", engine_evaluations},
        {metrics_counter, "advectd_runs_total", "Sampling requests that have ended.", engine_runs},
        {metrics_gauge, "advectd_runs_active", "Sampling requests in the engine.",
         engine_runs_active},
        {metrics_gauge, "advectd_rows_active", "Rows in tiles now.", engine_rows_active},
        {metrics_gauge, "advectd_queued_multiply_adds",
         "Work that the requests in the engine are charged for.", engine_cost_queued},
    };
    int code = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && code == 0; i++)
        code = rows[i].add(metrics, rows[i].name, rows[i].help, rows[i].read, engine);
    return code;
}
