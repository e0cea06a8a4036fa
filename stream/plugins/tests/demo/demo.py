"""A portable plugin as its users write them, on the SDK from PyPI."""
import os
import time

from ekuiper import Function, PluginConfig, Sink, Source, plugin


class Twice(Function):
    def validate(self, args):
        return "" if len(args) == 1 else "Expect 1 argument but found {}.".format(len(args))

    def exec(self, args, ctx):
        if args[0] is None:
            raise ValueError("nothing to double")
        return {"value": args[0] * 2, "rule": ctx.get_rule_id()}

    def is_aggregate(self):
        return False


class Total(Function):
    def validate(self, args):
        return ""

    def exec(self, args, ctx):
        return sum(args[0])

    def is_aggregate(self):
        return True


class Die(Function):
    def validate(self, args):
        return ""

    def exec(self, args, ctx):
        os._exit(3)

    def is_aggregate(self):
        return False


class Sleepy(Function):
    def validate(self, args):
        return ""

    def exec(self, args, ctx):
        time.sleep(args[0])
        return args[0]

    def is_aggregate(self):
        return False


class Counter(Source):
    def configure(self, datasource, conf):
        self.name = datasource
        self.count = conf["count"]

    def open(self, ctx):
        for number in range(self.count):
            ctx.emit({"n": number, "name": self.name}, {"rule": ctx.get_rule_id()})
        ctx.emit_error("counted to the end")
        while True:
            time.sleep(1)

    def close(self, ctx):
        pass


class Writer(Sink):
    def configure(self, conf):
        self.path = conf["path"]

    def open(self, ctx):
        self.file = open(self.path, "ab", buffering=0)

    def collect(self, ctx, data):
        if data == b'[{"bad":true}]':
            ctx.ack_error("will not write this")
            return
        self.file.write(data + b"\n")
        ctx.ack_ok()

    def close(self, ctx):
        self.file.write(b"closed\n")


if __name__ == "__main__":
    plugin.start(PluginConfig(
        "demo",
        {"counter": lambda: Counter()},
        {"writer": lambda: Writer()},
        {"twice": lambda: Twice(), "total": lambda: Total(), "die": lambda: Die(), "sleepy": lambda: Sleepy()},
    ))
