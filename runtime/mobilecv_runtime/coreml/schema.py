"""The messages of the Core ML specification that mobilecv reads, with their field numbers.

Source: `mlmodel/format/{Model,FeatureTypes,DataStructures,NeuralNetwork,MIL}.proto` of
https://github.com/apple/coremltools (the published Core ML specification).
"""

from __future__ import annotations

from typing import Final

from mobilecv_runtime.coreml.layer_schema import LAYER_SCHEMA, LAYER_TYPES
from mobilecv_runtime.coreml.protobuf import Schema

__all__ = ["COLOR_SPACES", "DATA_TYPES", "LAYER_TYPES", "MINIMUM_IOS", "SCHEMA"]

_NETWORK: Final = {
    1: ("layers", "*NeuralNetworkLayer"),
    2: ("preprocessing", "*NeuralNetworkPreprocessing"),
    5: ("arrayInputShapeMapping", "int"),
    6: ("imageInputShapeMapping", "int"),
    10: ("updateParams", "bytes"),
}

SCHEMA: Final[Schema] = {
    "Model": {
        1: ("specificationVersion", "int"),
        2: ("description", "ModelDescription"),
        10: ("isUpdatable", "int"),
        200: ("pipelineClassifier", "bytes"),
        202: ("pipeline", "bytes"),
        303: ("neuralNetworkRegressor", "NeuralNetworkClassifier"),
        403: ("neuralNetworkClassifier", "NeuralNetworkClassifier"),
        500: ("neuralNetwork", "NeuralNetworkClassifier"),
        502: ("mlProgram", "Program"),
    },
    "ModelDescription": {
        1: ("input", "*FeatureDescription"),
        10: ("output", "*FeatureDescription"),
        11: ("predictedFeatureName", "string"),
        12: ("predictedProbabilitiesName", "string"),
        13: ("state", "*FeatureDescription"),
        20: ("functions", "*bytes"),
        21: ("defaultFunctionName", "string"),
        50: ("trainingInput", "*FeatureDescription"),
        100: ("metadata", "Metadata"),
    },
    "FeatureDescription": {
        1: ("name", "string"),
        2: ("shortDescription", "string"),
        3: ("type", "FeatureType"),
    },
    "FeatureType": {
        1: ("int64Type", "Empty"),
        2: ("doubleType", "Empty"),
        3: ("stringType", "Empty"),
        4: ("imageType", "ImageFeatureType"),
        5: ("multiArrayType", "ArrayFeatureType"),
        6: ("dictionaryType", "DictionaryFeatureType"),
        7: ("sequenceType", "bytes"),
        8: ("stateType", "bytes"),
        1000: ("isOptional", "int"),
    },
    "Empty": {},
    "ImageFeatureType": {
        1: ("width", "int"),
        2: ("height", "int"),
        3: ("colorSpace", "int"),
        21: ("enumeratedSizes", "bytes"),
        31: ("imageSizeRange", "bytes"),
    },
    "ArrayFeatureType": {
        1: ("shape", "*int"),
        2: ("dataType", "int"),
        21: ("enumeratedShapes", "bytes"),
        31: ("shapeRange", "bytes"),
        41: ("intDefaultValue", "int"),
        51: ("floatDefaultValue", "float"),
        61: ("doubleDefaultValue", "double"),
    },
    "DictionaryFeatureType": {1: ("int64KeyType", "Empty"), 2: ("stringKeyType", "Empty")},
    "Metadata": {
        1: ("shortDescription", "string"),
        2: ("versionString", "string"),
        3: ("author", "string"),
        4: ("license", "string"),
        100: ("userDefined", "*StringEntry"),
    },
    "StringEntry": {1: ("key", "string"), 2: ("value", "string")},
    "StringVector": {1: ("vector", "*string")},
    "Int64Vector": {1: ("vector", "*int")},
    "NeuralNetworkClassifier": {
        **_NETWORK,
        100: ("stringClassLabels", "StringVector"),
        101: ("int64ClassLabels", "Int64Vector"),
        200: ("labelProbabilityLayerName", "string"),
    },
    "NeuralNetworkPreprocessing": {
        1: ("featureName", "string"),
        10: ("scaler", "NeuralNetworkImageScaler"),
        11: ("meanImage", "bytes"),
    },
    "NeuralNetworkImageScaler": {
        10: ("channelScale", "float"),
        20: ("blueBias", "float"),
        21: ("greenBias", "float"),
        22: ("redBias", "float"),
        30: ("grayBias", "float"),
    },
    **LAYER_SCHEMA,
    "Program": {
        1: ("version", "int"),
        2: ("functions", "*FunctionEntry"),
        3: ("docString", "string"),
        4: ("attributes", "*ValueEntry"),
    },
    "FunctionEntry": {1: ("key", "string"), 2: ("value", "Function")},
    "Function": {
        1: ("inputs", "*NamedValueType"),
        2: ("opset", "string"),
        3: ("block_specializations", "*BlockEntry"),
        4: ("attributes", "*ValueEntry"),
    },
    "BlockEntry": {1: ("key", "string"), 2: ("value", "Block")},
    "Block": {
        1: ("inputs", "*NamedValueType"),
        2: ("outputs", "*string"),
        3: ("operations", "*Operation"),
        4: ("attributes", "*ValueEntry"),
    },
    "Operation": {
        1: ("type", "string"),
        2: ("inputs", "*ArgumentEntry"),
        3: ("outputs", "*NamedValueType"),
        4: ("blocks", "*Block"),
        5: ("attributes", "*ValueEntry"),
    },
    "ArgumentEntry": {1: ("key", "string"), 2: ("value", "Argument")},
    "Argument": {1: ("arguments", "*Binding")},
    "Binding": {1: ("name", "string"), 2: ("value", "Value")},
    "ValueEntry": {1: ("key", "string"), 2: ("value", "Value")},
    "NamedValueType": {1: ("name", "string"), 2: ("type", "ValueType")},
    "ValueType": {
        1: ("tensorType", "TensorType"),
        2: ("listType", "ListType"),
        3: ("tupleType", "bytes"),
        4: ("dictionaryType", "bytes"),
        5: ("stateType", "bytes"),
    },
    "ListType": {1: ("type", "ValueType"), 2: ("length", "Dimension")},
    "TensorType": {
        1: ("dataType", "int"),
        2: ("rank", "int"),
        3: ("dimensions", "*Dimension"),
        4: ("attributes", "*ValueEntry"),
    },
    "Dimension": {1: ("constant", "ConstantDimension"), 2: ("unknown", "bytes")},
    "ConstantDimension": {1: ("size", "int")},
    "Value": {
        1: ("docString", "string"),
        2: ("type", "ValueType"),
        3: ("immediateValue", "ImmediateValue"),
        5: ("blobFileValue", "BlobFileValue"),
    },
    "ImmediateValue": {
        1: ("tensor", "TensorValue"),
        2: ("tuple", "bytes"),
        3: ("list", "ListValue"),
        4: ("dictionary", "bytes"),
    },
    "ListValue": {1: ("values", "*Value")},
    "BlobFileValue": {1: ("fileName", "string"), 2: ("offset", "int")},
    "TensorValue": {
        1: ("floats", "Floats"),
        2: ("ints", "Ints"),
        3: ("bools", "Ints"),
        4: ("strings", "Strings"),
        5: ("longInts", "Ints"),
        6: ("doubles", "Doubles"),
        7: ("bytes", "Bytes"),
    },
    "Floats": {1: ("values", "*float")},
    "Doubles": {1: ("values", "*double")},
    "Ints": {1: ("values", "*int")},
    "Strings": {1: ("values", "*string")},
    "Bytes": {1: ("values", "bytes")},
}

COLOR_SPACES: Final = {10: "GRAY", 20: "RGB", 30: "BGR", 40: "GRAY_FLOAT16"}
"""`ImageFeatureType.ColorSpace`."""

MINIMUM_IOS: Final = {
    1: "iOS 11",
    2: "iOS 11.2",
    3: "iOS 12",
    4: "iOS 13",
    5: "iOS 14",
    6: "iOS 15",
    7: "iOS 16",
    8: "iOS 17",
    9: "iOS 18",
    10: "iOS 26",
}
"""Specification version -> the first iOS that reads it."""

DATA_TYPES: Final = {
    1: "bool",
    2: "string",
    10: "float16",
    11: "float32",
    12: "float64",
    21: "int8",
    22: "int16",
    23: "int32",
    24: "int64",
    25: "int4",
    31: "uint8",
    32: "uint16",
    33: "uint32",
    34: "uint64",
    35: "uint4",
    36: "uint2",
    37: "uint1",
    38: "uint6",
    39: "uint3",
}
"""`MILSpec.DataType`."""
