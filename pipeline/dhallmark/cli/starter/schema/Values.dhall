-- What every environment must say.
{ greeting : Text, image : Text, replicas : Natural }
