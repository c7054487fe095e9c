/* trackerd: a front-end. Everything is in package server. */
#include "server/server.h"

int main(int argc, char **argv)
{
    return server_main(argc, argv);
}
