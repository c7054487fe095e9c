/* udp_settings: the table of udp.*. */
#include <stddef.h>

#include "net/udp/udp_private.h"

#define UDP(name, type, standard, min, max, help)                                                  \
    {                                                                                              \
        "udp." #name, type, offsetof(struct udp_settings, name), standard, CONFIG_LISTENER, min,   \
            max, NULL, help, NULL                                                                  \
    }

static const struct config_setting table[] = {
    UDP(receive_buffer, CONFIG_SIZE, "1MiB", 0, 1 << 30,
        "Size of the kernel's receive buffer for datagrams; 0: the kernel decides."),
    UDP(send_buffer, CONFIG_SIZE, "1MiB", 0, 1 << 30,
        "Size of the kernel's send buffer for datagrams; 0: the kernel decides."),
    UDP(batch, CONFIG_INT, "64", 1, UDP_BATCH_MAX,
        "Datagrams that one system call receives or sends."),
    UDP(rounds, CONFIG_INT, "4", 1, 1000, "Batches that are received in one event-loop iteration."),
    UDP(reuse_port, CONFIG_BOOL, "false", 0, 0,
        "Let several processes receive on the same port (SO_REUSEPORT)."),
    UDP(segments, CONFIG_BOOL, "true", 0, 0,
        "Let the kernel cut what is sent to one peer into datagrams, where it can."),
    {.key = NULL}};

const struct config_module udp_config = {.settings = table,
                                         .values_size = sizeof(struct udp_settings)};
