#include "schema/scripts.h"

#include "schema_scripts_data.h"
