/* option: suggestions for unknown options of listeners. */
#ifndef SERVER_OPTION_H
#define SERVER_OPTION_H

#include "config/config.h"

/* An error with the nearest name among the modules' options (ends with NULL), those of one more
 * module (NULL: none), and further names (ends with NULL). The caller frees. */
char *option_refuse_unknown(const char *option, const struct config_module *const *modules,
                            const struct config_module *more, const char *const *names);

#endif
