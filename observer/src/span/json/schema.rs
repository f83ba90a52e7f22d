//! The messages of OTLP by the names of their fields in JSON. From opentelemetry-proto 1.8; what is not named here is
//! passed over, as its specification asks of receivers of JSON.

#[derive(Debug)]
pub struct Message {
    pub fields: &'static [Field],
}

#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub number: u32,
    pub kind: Kind,
    pub many: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Text,
    /// Bytes in hexadecimal digits.
    Id,
    /// Bytes in base64.
    Bytes,
    Bool,
    /// By number, or by one of these names, each the name of its place.
    Enum(&'static [&'static str]),
    /// As a varint: `int64`, `uint64`, `uint32`.
    Int,
    /// Zigzag.
    Signed,
    Fixed32,
    Fixed64,
    SignedFixed64,
    Double,
    Message(&'static Message),
    /// A [`KEY_VALUE`]: it holds itself, by way of what it may have as its value.
    Pair,
}

const fn one(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, kind, many: false }
}

const fn many(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, kind, many: true }
}

use Kind::{Bool, Bytes, Double, Enum, Fixed32, Fixed64, Id, Int, Pair, Signed, SignedFixed64, Text};

pub static ANY: Message = Message {
    fields: &[
        one("stringValue", 1, Text),
        one("boolValue", 2, Bool),
        one("intValue", 3, Int),
        one("doubleValue", 4, Double),
        one("arrayValue", 5, Kind::Message(&ARRAY)),
        one("kvlistValue", 6, Kind::Message(&LIST)),
        one("bytesValue", 7, Bytes),
    ],
};
static ARRAY: Message = Message { fields: &[many("values", 1, Kind::Message(&ANY))] };
static LIST: Message = Message { fields: &[many("values", 1, Pair)] };
pub static KEY_VALUE: Message =
    Message { fields: &[one("key", 1, Text), one("value", 2, Kind::Message(&ANY))] };

pub static RESOURCE: Message = Message {
    fields: &[
        many("attributes", 1, Pair),
        one("droppedAttributesCount", 2, Int),
        many("entityRefs", 3, Kind::Message(&ENTITY)),
    ],
};
static ENTITY: Message = Message {
    fields: &[
        one("schemaUrl", 1, Text),
        one("type", 2, Text),
        many("idKeys", 3, Text),
        many("descriptionKeys", 4, Text),
    ],
};
pub static SCOPE: Message = Message {
    fields: &[
        one("name", 1, Text),
        one("version", 2, Text),
        many("attributes", 3, Pair),
        one("droppedAttributesCount", 4, Int),
    ],
};

pub static SPAN: Message = Message {
    fields: &[
        one("traceId", 1, Id),
        one("spanId", 2, Id),
        one("traceState", 3, Text),
        one("parentSpanId", 4, Id),
        one("name", 5, Text),
        one("kind", 6, Enum(SPAN_KIND)),
        one("startTimeUnixNano", 7, Fixed64),
        one("endTimeUnixNano", 8, Fixed64),
        many("attributes", 9, Pair),
        one("droppedAttributesCount", 10, Int),
        many("events", 11, Kind::Message(&EVENT)),
        one("droppedEventsCount", 12, Int),
        many("links", 13, Kind::Message(&LINK)),
        one("droppedLinksCount", 14, Int),
        one("status", 15, Kind::Message(&STATUS)),
        one("flags", 16, Fixed32),
    ],
};
const SPAN_KIND: &[&str] = &[
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];
static EVENT: Message = Message {
    fields: &[
        one("timeUnixNano", 1, Fixed64),
        one("name", 2, Text),
        many("attributes", 3, Pair),
        one("droppedAttributesCount", 4, Int),
    ],
};
static LINK: Message = Message {
    fields: &[
        one("traceId", 1, Id),
        one("spanId", 2, Id),
        one("traceState", 3, Text),
        many("attributes", 4, Pair),
        one("droppedAttributesCount", 5, Int),
        one("flags", 6, Fixed32),
    ],
};
static STATUS: Message = Message {
    fields: &[
        one("message", 2, Text),
        one("code", 3, Enum(&["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"])),
    ],
};

pub static LOG_RECORD: Message = Message {
    fields: &[
        one("timeUnixNano", 1, Fixed64),
        one("severityNumber", 2, Enum(SEVERITY)),
        one("severityText", 3, Text),
        one("body", 5, Kind::Message(&ANY)),
        many("attributes", 6, Pair),
        one("droppedAttributesCount", 7, Int),
        one("flags", 8, Fixed32),
        one("traceId", 9, Id),
        one("spanId", 10, Id),
        one("observedTimeUnixNano", 11, Fixed64),
        one("eventName", 12, Text),
    ],
};
const SEVERITY: &[&str] = &[
    "SEVERITY_NUMBER_UNSPECIFIED",
    "SEVERITY_NUMBER_TRACE",
    "SEVERITY_NUMBER_TRACE2",
    "SEVERITY_NUMBER_TRACE3",
    "SEVERITY_NUMBER_TRACE4",
    "SEVERITY_NUMBER_DEBUG",
    "SEVERITY_NUMBER_DEBUG2",
    "SEVERITY_NUMBER_DEBUG3",
    "SEVERITY_NUMBER_DEBUG4",
    "SEVERITY_NUMBER_INFO",
    "SEVERITY_NUMBER_INFO2",
    "SEVERITY_NUMBER_INFO3",
    "SEVERITY_NUMBER_INFO4",
    "SEVERITY_NUMBER_WARN",
    "SEVERITY_NUMBER_WARN2",
    "SEVERITY_NUMBER_WARN3",
    "SEVERITY_NUMBER_WARN4",
    "SEVERITY_NUMBER_ERROR",
    "SEVERITY_NUMBER_ERROR2",
    "SEVERITY_NUMBER_ERROR3",
    "SEVERITY_NUMBER_ERROR4",
    "SEVERITY_NUMBER_FATAL",
    "SEVERITY_NUMBER_FATAL2",
    "SEVERITY_NUMBER_FATAL3",
    "SEVERITY_NUMBER_FATAL4",
];

pub static METRIC: Message = Message {
    fields: &[
        one("name", 1, Text),
        one("description", 2, Text),
        one("unit", 3, Text),
        one("gauge", 5, Kind::Message(&GAUGE)),
        one("sum", 7, Kind::Message(&SUM)),
        one("histogram", 9, Kind::Message(&HISTOGRAM)),
        one("exponentialHistogram", 10, Kind::Message(&EXPONENTIAL)),
        one("summary", 11, Kind::Message(&SUMMARY)),
        many("metadata", 12, Pair),
    ],
};
const TEMPORALITY: Kind = Enum(&[
    "AGGREGATION_TEMPORALITY_UNSPECIFIED",
    "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_CUMULATIVE",
]);
static GAUGE: Message = Message { fields: &[many("dataPoints", 1, Kind::Message(&NUMBER))] };
static SUM: Message = Message {
    fields: &[
        many("dataPoints", 1, Kind::Message(&NUMBER)),
        one("aggregationTemporality", 2, TEMPORALITY),
        one("isMonotonic", 3, Bool),
    ],
};
static HISTOGRAM: Message = Message {
    fields: &[
        many("dataPoints", 1, Kind::Message(&HISTOGRAM_POINT)),
        one("aggregationTemporality", 2, TEMPORALITY),
    ],
};
static EXPONENTIAL: Message = Message {
    fields: &[
        many("dataPoints", 1, Kind::Message(&EXPONENTIAL_POINT)),
        one("aggregationTemporality", 2, TEMPORALITY),
    ],
};
static SUMMARY: Message = Message { fields: &[many("dataPoints", 1, Kind::Message(&SUMMARY_POINT))] };
static NUMBER: Message = Message {
    fields: &[
        one("startTimeUnixNano", 2, Fixed64),
        one("timeUnixNano", 3, Fixed64),
        one("asDouble", 4, Double),
        many("exemplars", 5, Kind::Message(&EXEMPLAR)),
        one("asInt", 6, SignedFixed64),
        many("attributes", 7, Pair),
        one("flags", 8, Int),
    ],
};
static HISTOGRAM_POINT: Message = Message {
    fields: &[
        one("startTimeUnixNano", 2, Fixed64),
        one("timeUnixNano", 3, Fixed64),
        one("count", 4, Fixed64),
        one("sum", 5, Double),
        many("bucketCounts", 6, Fixed64),
        many("explicitBounds", 7, Double),
        many("exemplars", 8, Kind::Message(&EXEMPLAR)),
        many("attributes", 9, Pair),
        one("flags", 10, Int),
        one("min", 11, Double),
        one("max", 12, Double),
    ],
};
static EXPONENTIAL_POINT: Message = Message {
    fields: &[
        many("attributes", 1, Pair),
        one("startTimeUnixNano", 2, Fixed64),
        one("timeUnixNano", 3, Fixed64),
        one("count", 4, Fixed64),
        one("sum", 5, Double),
        one("scale", 6, Signed),
        one("zeroCount", 7, Fixed64),
        one("positive", 8, Kind::Message(&BUCKETS)),
        one("negative", 9, Kind::Message(&BUCKETS)),
        one("flags", 10, Int),
        many("exemplars", 11, Kind::Message(&EXEMPLAR)),
        one("min", 12, Double),
        one("max", 13, Double),
        one("zeroThreshold", 14, Double),
    ],
};
static BUCKETS: Message = Message { fields: &[one("offset", 1, Signed), many("bucketCounts", 2, Int)] };
static SUMMARY_POINT: Message = Message {
    fields: &[
        one("startTimeUnixNano", 2, Fixed64),
        one("timeUnixNano", 3, Fixed64),
        one("count", 4, Fixed64),
        one("sum", 5, Double),
        many("quantileValues", 6, Kind::Message(&QUANTILE)),
        many("attributes", 7, Pair),
        one("flags", 8, Int),
    ],
};
static QUANTILE: Message = Message { fields: &[one("quantile", 1, Double), one("value", 2, Double)] };
static EXEMPLAR: Message = Message {
    fields: &[
        one("timeUnixNano", 2, Fixed64),
        one("asDouble", 3, Double),
        one("spanId", 4, Id),
        one("traceId", 5, Id),
        one("asInt", 6, SignedFixed64),
        many("filteredAttributes", 7, Pair),
    ],
};
