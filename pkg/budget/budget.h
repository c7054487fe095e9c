/*
 * budget: accounts of what the clients of an address cost, in units of work.
 *
 * A unit is about 10 microseconds of one core. An account is for an IPv4 address or an IPv6 /64,
 * and has a parent for the IPv6 /48 around it. It exists while somebody holds a reference, and
 * after that as long as it owes, so that reconnecting pays for nothing; at most budget.addresses of
 * those are kept, the least recently released one is forgotten first.
 *
 * An account does not refuse: it is charged what was done, and says how long to wait before more is
 * done for its address. The debt is bounded, so that no wait is longer than BUDGET_WAIT_MAX_US.
 */
#ifndef BUDGET_BUDGET_H
#define BUDGET_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/list.h"
#include "config/config.h"

#define BUDGET_WAIT_MAX_US UINT64_C(5000000)

struct budget_settings {
    int64_t rate;          /* budget.rate, units a second of a connection; 0: no limit */
    int64_t burst;         /* budget.burst */
    int64_t address_rate;  /* budget.address_rate; 0: no limit */
    int64_t address_burst; /* budget.address_burst */
    int64_t network_rate;  /* budget.network_rate, of an IPv6 /48; 0: no limit */
    int64_t network_burst; /* budget.network_burst */
    int64_t addresses;     /* budget.addresses */
};
extern const struct config_module budget_config;

struct budget;
struct budget_account;

/* settings are read at each use, and must outlive it. NULL: no limits. */
struct budget *budget_create(const struct budget_settings *settings);
/* An account in which something is still counted is freed when nothing is any more; those acquired
 * must have been released. */
void budget_destroy(struct budget **budget);
/* Uses other settings from now on. */
void budget_set(struct budget *budget, const struct budget_settings *settings);
/* Those in force; never NULL. */
const struct budget_settings *budget_settings_of(const struct budget *budget);
/* Accounts, with those of networks. */
uint64_t budget_account_count(const struct budget *budget);

/* The account of the address, with a reference for the caller. */
struct budget_account *budget_account_acquire(struct budget *budget, const struct address *address,
                                              uint64_t now_us);
void budget_account_release(struct budget *budget, struct budget_account *account, uint64_t now_us);
/* Charges the account and its network. */
void budget_account_charge(struct budget *budget, struct budget_account *account, uint32_t units,
                           uint64_t now_us);
/* Time until more may be done for the address; 0: now. *by_network (may be NULL): whether its
 * network is what it has to wait for. */
uint64_t budget_account_wait_us(const struct budget *budget, const struct budget_account *account,
                                uint64_t now_us, bool *by_network);

/* Whether something of it, or of its network, is not paid for yet. */
bool budget_account_owes(const struct budget_account *account, uint64_t now_us);

/* Whether it, and its network, have caused little of late: about 200 units a second. */
bool budget_account_causes_little(const struct budget_account *account, uint64_t now_us);

/* What packages count per address, each its own; zero, and the lists empty, in a new account. A
 * package that counts something keeps a reference as long as its count is not zero. */
struct budget_usage {
    uint32_t connections; /* net: open ones */
    uint32_t streams;     /* net/http: live streams */
    uint64_t input;       /* net: bytes of unconsumed input */
    uint64_t output;      /* net: bytes of waiting output */
    struct list waiting;  /* net: connections that wait for the account, oldest first */
    struct list node;     /* net: among the accounts that connections wait for */
};
struct budget_usage *budget_account_usage(struct budget_account *account);
struct budget_account *budget_account_of(struct budget_usage *usage);

/*
 * What other packages count per address, and with it per IPv6 /48. An account exists as long as
 * something is counted in it.
 */
enum budget_counter {
    BUDGET_SESSIONS,        /* map: sessions */
    BUDGET_OPERATIONS,      /* map: operations that wait for Redis */
    BUDGET_OPERATION_BYTES, /* map: of their states */
    BUDGET_WAITS,           /* map: packets and invitations that wait */
    BUDGET_WAIT_BYTES,      /* map: of these */
    BUDGET_ENTRIES,         /* map: entries, and those that operations may add */
    BUDGET_COUNTERS
};
/* account: NULL: nothing is counted. */
void budget_account_add(struct budget_account *account, enum budget_counter counter,
                        uint64_t amount);
void budget_account_subtract(struct budget_account *account, enum budget_counter counter,
                             uint64_t amount);
/* Whether the address, or its network, would have more than its share of what all may have, with
 * that amount: as much as is still free. So one has half at most, n have a part of n + 1 each, and
 * the next one always finds something. One that has nothing yet may have any amount. total: of all,
 * with the amount. */
bool budget_account_exceeds_share(const struct budget_account *account, enum budget_counter counter,
                                  uint64_t amount, uint64_t total, uint64_t most);

/* What a message may cost at most: what the rate pays for in BUDGET_WAIT_MAX_US. */
uint32_t budget_max_charge(const struct budget *budget, bool has_account);

#endif
