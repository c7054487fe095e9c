"""A real game server: ioquake3, with a map of one room made here, so that no game's data is needed."""
import os
import struct

PROGRAM = "/usr/lib/ioquake3/ioq3ded"
GAME_CODE = "/usr/lib/ioquake3/baseq3/qagamex86_64.so"


def tiny_map():
    """A BSP of version 46: one node, one leaf, nothing in it but a place to stand."""
    entities = (b'{\n"classname" "worldspawn"\n}\n{\n"classname" "info_player_deathmatch"\n'
                b'"origin" "0 0 24"\n}\n\0')
    shader = b"noshader".ljust(64, b"\0") + struct.pack("<ii", 0, 0)
    planes = struct.pack("<8f", 1, 0, 0, 0, -1, 0, 0, 0)
    box = (-64, -64, -64, 64, 64, 64)
    node = struct.pack("<9i", 0, -1, -1, *box)
    leaf = struct.pack("<12i", 0, 0, *box, 0, 0, 0, 0)
    model = struct.pack("<6f4i", *box, 0, 0, 0, 0)
    lumps = [entities, shader, planes, node, leaf, b"", b"", model] + [b""] * 9
    at, head, body = 8 + 8 * len(lumps), b"", b""
    for lump in lumps:
        lump += b"\0" * (-len(lump) % 4)
        head += struct.pack("<ii", at + len(body), len(lump))
        body += lump
    return b"IBSP" + struct.pack("<i", 46) + head + body


def start(t, port, masters, name="tiny", host="127.0.0.1", **settings):
    """Starts one that announces itself to the masters ("host:port" each). settings: its own."""
    home = t.directory("game")
    os.makedirs(f"{home}/{name}/maps")
    with open(f"{home}/{name}/maps/tiny.bsp", "wb") as file:
        file.write(tiny_map())
    with open(f"{home}/{name}/default.cfg", "w", encoding="ascii") as file:
        file.write("\n")
    os.symlink(GAME_CODE, f"{home}/{name}/{os.path.basename(GAME_CODE)}")
    ipv6 = ":" in host
    values = {"fs_homepath": home, "fs_basepath": home, "com_basegame": name, "com_standalone": "1",
              "com_gamename": name, "dedicated": "2", "net_enabled": "2" if ipv6 else "1",
              "net_ip6" if ipv6 else "net_ip": host, "net_port6" if ipv6 else "net_port": str(port),
              "sv_pure": "0", "vm_game": "0", "bot_enable": "0", "sv_hostname": "an engine",
              **{f"sv_master{number}": "" for number in range(1, 6)},
              **{f"sv_master{number}": where for number, where in enumerate(masters, 1)}, **settings}
    arguments = [PROGRAM]
    for key, value in values.items():
        arguments += ["+set", key, value]
    return t.start("ioq3ded", [*arguments, "+map", "tiny"])
