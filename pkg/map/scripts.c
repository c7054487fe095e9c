#include "map/scripts.h"

#include "map_scripts_data.h"
