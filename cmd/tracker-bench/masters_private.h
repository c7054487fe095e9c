/* masters_private: shared by the files of the UDP modes. */
#ifndef BENCH_MASTERS_PRIVATE_H
#define BENCH_MASTERS_PRIVATE_H

#include "base/address.h"
#include "modes_private.h"

#define MASTERS_HEADER    "\xff\xff\xff\xff"
#define MASTERS_HEARTBEAT MASTERS_HEADER "heartbeat DarkPlaces\n"
#define MASTERS_ANSWER    MASTERS_HEADER "infoResponse\n\\challenge\\"
#define MASTERS_ANSWER_END                                                                         \
    "\\gamename\\Bench\\protocol\\1\\clients\\1\\sv_maxclients\\8\\hostname\\a bench server"
#define MASTERS_PACKET_MAX 2048
#define MASTERS_QUIET_MS   200 /* after that, unanswered datagrams count as lost, and are resent */

/* A socket that is connected to the target. source: from 127.0.0.2 on; 0: the system's choice. */
int masters_open_socket(const struct address *target, uint32_t source);
/* Raises the limit of descriptors for that many sockets. */
void masters_allow_descriptors(uint32_t count);
void masters_sample(const struct options *options, struct proc_sample *samples);
/* Reports CPU in total and per unit, and memory. */
void masters_report_cpu(const struct options *options, struct report *report,
                        const struct proc_sample *before, const struct proc_sample *after,
                        double count, const char *unit);

#endif
