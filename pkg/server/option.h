/* option: what a listener's option that does not exist was meant to be. */
#ifndef SERVER_OPTION_H
#define SERVER_OPTION_H

#include "config/config.h"

/* An error that names the nearest of the modules' options (ends with NULL), of those of one more
 * module (NULL: none), and of further names (ends with NULL). The caller frees. */
char *option_refuse_unknown(const char *option, const struct config_module *const *modules,
                            const struct config_module *more, const char *const *names);

#endif
