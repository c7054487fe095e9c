/* settings: the table of budget.*. */
#include <stddef.h>

#include "budget/budget.h"

#define RATE_MAX  10000000
#define BURST_MAX 4000000

#define BUDGET(name, standard, min, max, help)                                                     \
    {                                                                                              \
        "budget." #name, CONFIG_INT, offsetof(struct budget_settings, name), standard,             \
            CONFIG_RELOADABLE, min, max, NULL, help, NULL                                          \
    }

static const struct config_setting budget_table[] = {
    BUDGET(rate, "10000", 0, RATE_MAX,
           "Units of work a second that one connection may cause; 0: no limit."),
    BUDGET(burst, "20000", 1, BURST_MAX,
           "Units of work that one connection may cause at once, after an idle time."),
    BUDGET(address_rate, "50000", 0, RATE_MAX,
           "Units of work a second that all connections of one address may cause; 0: no limit."),
    BUDGET(address_burst, "100000", 1, BURST_MAX,
           "Units of work that one address may cause at once, after an idle time."),
    BUDGET(network_rate, "200000", 0, RATE_MAX,
           "Units of work a second that all connections of one IPv6 /48 may cause; 0: no limit."),
    BUDGET(network_burst, "400000", 1, BURST_MAX,
           "Units of work that one IPv6 /48 may cause at once, after an idle time."),
    BUDGET(addresses, "65536", 1, RATE_MAX,
           "Addresses that are remembered after their last connection, while they owe."),
    {.key = NULL}};

const struct config_module budget_config = {.settings = budget_table,
                                            .values_size = sizeof(struct budget_settings)};
