-- | Text to text, as `toMap` gives it; becomes a JSON object.
List { mapKey : Text, mapValue : Text }
