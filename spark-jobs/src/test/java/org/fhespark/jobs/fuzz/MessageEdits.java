package org.fhespark.jobs.fuzz;

import com.google.protobuf.ByteString;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import java.util.ArrayList;
import java.util.List;

/** Protobuf messages that are others by some fields: missing, repeated, out of range, another's. */
final class MessageEdits {
  private static final int MOST_EDITS = 4;

  private MessageEdits() {}

  static Message edit(Message message, Decisions decisions) {
    Message.Builder root = message.toBuilder();
    for (int edit = 0; edit < MOST_EDITS && decisions.areLeft(); edit++) {
      List<String> texts = new ArrayList<>();
      List<Message.Builder> builders = new ArrayList<>();
      collect(root, builders, texts);
      Message.Builder chosen = decisions.of(builders);
      List<FieldDescriptor> set = new ArrayList<>(chosen.getAllFields().keySet());
      FieldDescriptor field =
          set.isEmpty() || decisions.below(4) == 0
              ? decisions.of(chosen.getDescriptorForType().getFields())
              : decisions.of(set);
      if (field.isRepeated()) {
        editList(chosen, field, texts, decisions);
      } else if (decisions.below(4) == 0) {
        chosen.clearField(field);
      } else if (field.getJavaType() != FieldDescriptor.JavaType.MESSAGE) {
        chosen.setField(field, value(field, texts, decisions));
      }
    }
    return root.build();
  }

  private static void collect(
      Message.Builder builder, List<Message.Builder> builders, List<String> texts) {
    builders.add(builder);
    for (FieldDescriptor field : List.copyOf(builder.getAllFields().keySet())) {
      boolean isMessage = field.getJavaType() == FieldDescriptor.JavaType.MESSAGE;
      int count = field.isRepeated() ? builder.getRepeatedFieldCount(field) : 1;
      for (int index = 0; index < count; index++) {
        if (isMessage) {
          collect(
              field.isRepeated()
                  ? builder.getRepeatedFieldBuilder(field, index)
                  : builder.getFieldBuilder(field),
              builders,
              texts);
        } else if (field.getJavaType() == FieldDescriptor.JavaType.STRING) {
          texts.add(
              (String)
                  (field.isRepeated()
                      ? builder.getRepeatedField(field, index)
                      : builder.getField(field)));
        }
      }
    }
  }

  private static void editList(
      Message.Builder builder, FieldDescriptor field, List<String> texts, Decisions decisions) {
    boolean isMessage = field.getJavaType() == FieldDescriptor.JavaType.MESSAGE;
    List<Object> values = new ArrayList<>((List<?>) builder.getField(field));
    int index = decisions.below(values.size() + 1);
    boolean isThere = index < values.size();
    switch (decisions.below(4)) {
      case 0 -> {
        if (isThere) {
          values.remove(index);
        }
      }
      case 1 -> {
        if (isThere) {
          values.add(values.get(index));
        }
      }
      case 2 -> {
        if (isThere) {
          values.add(0, values.remove(index));
        }
      }
      default -> {
        Object value =
            isMessage
                ? builder.newBuilderForField(field).buildPartial()
                : value(field, texts, decisions);
        if (isThere && !isMessage) {
          values.set(index, value);
        } else {
          values.add(index, value);
        }
      }
    }
    builder.setField(field, values);
  }

  private static Object value(FieldDescriptor field, List<String> texts, Decisions decisions) {
    return switch (field.getJavaType()) {
      case INT -> (int) decisions.number();
      case LONG -> decisions.number();
      case FLOAT ->
          decisions.of(List.of(0f, -1f, Float.NaN, Float.POSITIVE_INFINITY, Float.MAX_VALUE));
      case DOUBLE -> decisions.of(List.of(0.0, -1.0, Double.NaN, Double.NEGATIVE_INFINITY));
      case BOOLEAN -> decisions.below(2) == 0;
      case STRING ->
          texts.isEmpty() || decisions.below(4) == 0
              ? decisions.of(List.of("", "x", "a\nb", "Add", "MatMul", "Reshape", "\0"))
              : decisions.of(texts);
      case BYTE_STRING -> ByteString.copyFrom(new byte[decisions.below(64)]);
      case ENUM -> decisions.of(field.getEnumType().getValues());
      case MESSAGE -> throw new IllegalArgumentException(field.getFullName());
    };
  }
}
