#include "server/option.h"

#include "base/mem.h"

struct nearest {
    const char *name;
    size_t distance;
};

static void consider_option(struct nearest *nearest, const char *name, size_t distance)
{
    if (distance < nearest->distance) {
        *nearest = (struct nearest){name, distance};
    }
}

static void offer_module(struct nearest *nearest, const struct config_module *module,
                         const char *option)
{
    size_t distance;
    const char *name = config_nearest_option(module, option, &distance);

    if (name) {
        consider_option(nearest, name, distance);
    }
}

char *option_refuse_unknown(const char *option, const struct config_module *const *modules,
                            const struct config_module *more, const char *const *names)
{
    struct nearest nearest = {NULL, SIZE_MAX};

    for (; *modules; modules++) {
        offer_module(&nearest, *modules, option);
    }
    if (more) {
        offer_module(&nearest, more, option);
    }
    for (; *names; names++) {
        consider_option(&nearest, *names, config_distance(option, *names));
    }
    return mem_format("unknown option \"%s\"; the nearest is \"%s\"", option, nearest.name);
}
