#include "server/store/tables.h"

const char *const tables_steps[] = {
    "CREATE TABLE datasets ("
    "  name TEXT PRIMARY KEY,"
    "  file TEXT NOT NULL UNIQUE,"
    "  format TEXT NOT NULL,"
    "  rows INTEGER NOT NULL,"
    "  bytes INTEGER NOT NULL,"
    "  sha256 TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL,"
    "  schema TEXT NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE models ("
    "  name TEXT PRIMARY KEY,"
    "  file TEXT NOT NULL UNIQUE,"
    "  version INTEGER NOT NULL,"
    "  bytes INTEGER NOT NULL,"
    "  sha256 TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL,"
    "  sidecar TEXT,"
    "  error TEXT"
    ") STRICT, WITHOUT ROWID;"
    /* Outlives the model, so that a version is never given twice. */
    "CREATE TABLE model_versions ("
    "  name TEXT PRIMARY KEY,"
    "  version INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;",
};

const size_t tables_step_count = sizeof tables_steps / sizeof *tables_steps;
