#!/usr/bin/python3
"""Whether the JSON on standard input is an in-toto Statement v1 with SLSA provenance v1, to the parser that both formats are defined by: they are
protocol buffer messages in their canonical JSON form. Google's parser (Debian's python3-protobuf) refuses members that a message does
not have, values of other types, null in maps, and malformed times and bytes. What must be there besides is checked below.
"""
import json
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, struct_pb2, timestamp_pb2

# MESSAGE: members as they are in JSON, each with its type; [] many, {} a map of strings. Struct: any JSON object.
MESSAGES = {
    "Statement": {"_type": "string", "subject": "Resource[]", "predicateType": "string", "predicate": "Struct"},
    "Resource": {"name": "string", "uri": "string", "digest": "{}", "content": "bytes", "downloadLocation": "string", "mediaType": "string",
                 "annotations": "Struct"},
    "Provenance": {"buildDefinition": "BuildDefinition", "runDetails": "RunDetails"},
    "BuildDefinition": {"buildType": "string", "externalParameters": "Struct", "internalParameters": "Struct", "resolvedDependencies": "Resource[]"},
    "RunDetails": {"builder": "Builder", "metadata": "Metadata", "byproducts": "Resource[]"},
    "Builder": {"id": "string", "version": "{}", "builderDependencies": "Resource[]"},
    "Metadata": {"invocationId": "string", "startedOn": "Timestamp", "finishedOn": "Timestamp"},
}
KNOWN = {"Struct": ".google.protobuf.Struct", "Timestamp": ".google.protobuf.Timestamp"}


def add_field(message, number, name, kind):
    plain = descriptor_pb2.FieldDescriptorProto
    f = message.field.add(name=name.lstrip("_").lower(), json_name=name, number=number, label=plain.LABEL_OPTIONAL)
    if kind == "{}":
        entry = message.nested_type.add(name=f.name.capitalize() + "Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=plain.TYPE_STRING, label=plain.LABEL_OPTIONAL)
        entry.field.add(name="value", number=2, type=plain.TYPE_STRING, label=plain.LABEL_OPTIONAL)
        f.type, f.type_name, f.label = plain.TYPE_MESSAGE, f".test.{message.name}.{entry.name}", plain.LABEL_REPEATED
        return
    if kind.endswith("[]"):
        f.label, kind = plain.LABEL_REPEATED, kind[:-2]
    if kind in ("string", "bytes"):
        f.type = plain.TYPE_STRING if kind == "string" else plain.TYPE_BYTES
    else:
        f.type, f.type_name = plain.TYPE_MESSAGE, KNOWN.get(kind, ".test." + kind)


def message_types():
    pool = descriptor_pool.Default()
    out = descriptor_pb2.FileDescriptorProto(name="test.proto", package="test", syntax="proto3",
                                             dependency=[struct_pb2.DESCRIPTOR.name, timestamp_pb2.DESCRIPTOR.name])
    for name, members in MESSAGES.items():
        message = out.message_type.add(name=name)
        for number, (member, kind) in enumerate(members.items(), 1):
            add_field(message, number, member, kind)
    pool.Add(out)
    factory = message_factory.MessageFactory(pool)
    return {name: factory.GetPrototype(pool.FindMessageTypeByName("test." + name)) for name in MESSAGES}


def main():
    types, data = message_types(), json.load(sys.stdin)
    statement = json_format.ParseDict(data, types["Statement"]())
    provenance = json_format.ParseDict(data["predicate"], types["Provenance"]())
    definition, run = provenance.builddefinition, provenance.rundetails
    required = {"type": getattr(statement, "type").endswith("/Statement/v1"),
                "predicateType": statement.predicatetype.endswith("/provenance/v1"),
                "a subject with a digest": len(statement.subject) > 0 and all(s.digest for s in statement.subject),
                "buildType, a URI": ":" in definition.buildtype, "externalParameters": len(definition.externalparameters.fields) > 0,
                "builder.id, a URI": ":" in run.builder.id,
                "resources with a name, URI or digest": all(r.name or r.uri or r.digest for r in definition.resolveddependencies)}
    missing = [what for what, there in required.items() if not there]
    if missing:
        sys.exit("missing: " + ", ".join(missing))


main()
